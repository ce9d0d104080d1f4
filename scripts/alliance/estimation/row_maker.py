"""A row of the estimates table from a fit: fills in what all rows of the fit share."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from alliance.estimates import COLUMNS, Estimate
from alliance.estimation.design import ModelDesign
from alliance.estimation.refusal import Refusal
from alliance.estimation.reml import Contrast, LmmFit
from alliance.estimation.terms import RowContext, describe_term

# Columns of the estimates table that the context of an analysis fills.
_OF_CONTEXT = tuple(field.name for field in fields(RowContext) if field.name in COLUMNS)


@dataclass(frozen=True)
class RowMaker:
    """Fills in what all rows of a fit share.

    ``verdict`` is (converged in words, status, reason).
    """

    design: ModelDesign | None
    context: RowContext
    estimator: str
    verdict: tuple[str, str, str]

    def row(self, term: str, kind: str, **numbers: object) -> Estimate:
        level, estimand, units = describe_term(term, self.design, self.context)
        converged, status, reason = self.verdict
        shared = self._shared() | {"converged": converged, "status": status, "reason": reason}
        words = {"term": term, "kind": kind, "level": level, "estimand": estimand, "units": units}
        return Estimate(**(shared | words | numbers))

    def absent(self, term: str, kind: str, reason: str) -> Estimate:
        return self.row(term, kind, status="not_estimated", reason=reason)

    def inference(
        self, term: str, kind: str, found: Contrast, interval: str, **more: object
    ) -> Estimate:
        numbers = {
            "estimate": found.estimate,
            "se": found.se,
            "df": found.df if np.isfinite(found.df) else np.nan,
            "ci_low": found.ci_low,
            "ci_high": found.ci_high,
            "p": found.p,
            "interval": interval,
        }
        return self.row(term, kind, **(numbers | self._standardised(term, found) | more))

    def _standardised(self, term: str, found: Contrast) -> dict[str, float]:
        """Within effect in within-client SDs; for nothing but the within effect."""
        if term != "within" or self.design is None:
            return {}
        ratio = self.design.sd_within_predictor / self.design.sd_within_outcome
        return {
            "std_within": found.estimate * ratio,
            "std_within_low": found.ci_low * ratio,
            "std_within_high": found.ci_high * ratio,
        }

    def _shared(self) -> dict[str, object]:
        context, design = self.context, self.design
        shared: dict[str, object] = {name: getattr(context, name) for name in _OF_CONTEXT}
        shared["estimator"] = context.estimator or self.estimator
        if design is not None:
            shared |= {
                "n_obs": design.n_obs,
                "n_clients": design.n_clients,
                "n_therapists": design.n_therapists or np.nan,
                "median_sessions": design.median_sessions,
            }
        return shared


def maker_of(fit: LmmFit, design: ModelDesign, context: RowContext) -> RowMaker:
    """What all rows of a fit share."""
    return RowMaker(design, context, fit.estimator, verdict(fit))


def verdict(fit: LmmFit) -> tuple[str, str, str]:
    """Converged in words, status and reason, for a :class:`RowMaker`."""
    if not fit.converged:
        return "no", "diagnostics_failed", f"the fit did not converge: {fit.message}"
    if fit.singular:
        return f"yes, on the boundary: {'; '.join(fit.singular)}", "ok", ""
    return "yes", "ok", ""


def refused_rows(
    refusal: Refusal, context: RowContext, estimator: str, design: ModelDesign | None = None
) -> list[Estimate]:
    """Rows that say why there is no estimate, one per main effect of the model."""
    terms = ["within", "between"] if context.predictor else ["time"]
    maker = RowMaker(design, context, estimator, ("", "ok", ""))
    reason = f"{refusal.reason}. {refusal.advice}"
    return [maker.absent(term, "fixed", reason) for term in terms]
