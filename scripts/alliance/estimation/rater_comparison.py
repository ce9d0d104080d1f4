"""Two predictors of the same outcome side by side: the client's and the therapist's rating.

Both models are fitted to the same rows. Because they share the outcome, their estimates are
correlated; the standard error of the difference takes that into account by stacking the two sets
of estimating equations and summing them client by client (seemingly unrelated estimation, robust).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from alliance.estimates import Estimate
from alliance.estimation.columns import two_level
from alliance.estimation.design import ModelDesign, build_design
from alliance.estimation.refusal import Refusal
from alliance.estimation.reml import Contrast, LmmFit, fit_lmm
from alliance.estimation.row_maker import RowMaker, maker_of
from alliance.estimation.terms import RowContext
from alliance.study import Covariate, ModelSpec, Residuals
from alliance.within_between import split_within_between

FloatArray = NDArray[np.float64]
MIN_CLIENTS = 10
_INTERVAL = "95% t, robust by client"
_LEVEL = {"within": "within_client", "between": "between_client"}
_WHERE = {"within": "Within clients", "between": "Between clients"}
_UNITS = {
    "within": "within-client SDs of the outcome per within-client SD of the rating",
    "between": "SDs of client means of the outcome per SD of client means of the rating",
}


@dataclass(frozen=True)
class _Side:
    """One predictor: its fit, its effects per SD, and how each client moves them."""

    label: str
    name: str
    design: ModelDesign
    fit: LmmFit
    ratio: dict[str, float]
    influence: FloatArray

    def effect(self, term: str) -> float:
        return self.fit.coefficient(term) * self.ratio[term]

    def influence_on(self, term: str) -> FloatArray:
        return self.influence[:, self.fit.names.index(term)] * self.ratio[term]


def comparison_rows(
    frames: tuple[pd.DataFrame, pd.DataFrame],
    specs: tuple[ModelSpec, ModelSpec],
    contexts: tuple[RowContext, RowContext],
    covariates: Mapping[str, Covariate],
) -> list[Estimate]:
    """Standardised effects of two predictors on the same rows, and their difference.

    Parameters
    ----------
    frames, specs, contexts : of the model itself and of the model it is compared with. Covariates
        and random slopes of the first are used for both.

    Returns
    -------
    Rows of the analysis ``<model>.compared_with_<other>``: ``within_first``, ``within_second``,
    ``within_difference`` and the same between clients. SDs are taken as known.
    """
    first, second = contexts
    context = replace(first, analysis=f"{first.analysis}.compared_with_{second.analysis}")
    sides = []
    for frame, one in zip(_same_rows(*frames), contexts, strict=True):
        side = _side(frame, specs[0], covariates, one)
        if isinstance(side, Refusal):
            return _refused(side, context)
        sides.append(side)
    rows: list[Estimate] = []
    for term in ("within", "between"):
        rows += _term_rows(term, sides[0], sides[1], context)
    return rows


def _same_rows(first: pd.DataFrame, second: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    keys = ["client", "outcome_session"]
    shared = first[keys].merge(second[keys], on=keys)
    return tuple(  # type: ignore[return-value]
        split_within_between(frame.merge(shared, on=keys), therapists=False)
        for frame in (first, second)
    )


def _side(
    frame: pd.DataFrame, spec: ModelSpec, covariates: Mapping[str, Covariate], context: RowContext
) -> _Side | Refusal:
    if frame["client"].nunique() < MIN_CLIENTS:
        return Refusal(
            f"fewer than {MIN_CLIENTS} clients have both ratings at the same sessions",
            "Look at how often each rating was made.",
        )
    plain = two_level(spec).model_copy(update={"residuals": Residuals()})
    design = build_design(frame, plain, covariates)
    fit = design if isinstance(design, Refusal) else fit_lmm(design, spec.likelihood)
    if isinstance(design, Refusal) or isinstance(fit, Refusal):
        return design if isinstance(design, Refusal) else fit
    means = frame.groupby("client")[["predictor", "outcome"]].mean()
    ratio = {
        "within": design.sd_within_predictor / design.sd_within_outcome,
        "between": float(means["predictor"].std() / means["outcome"].std()),
    }
    influence = client_influence(fit, design)
    return _Side(context.predictor_label, context.predictor, design, fit, ratio, influence)


def client_influence(fit: LmmFit, design: ModelDesign) -> FloatArray:
    """(n_clients, p): how each client moves the fixed effects, ``vcov X_i' V_i^-1 (y_i - X_i b)``.

    Their cross-products sum to the cluster-robust covariance of the fixed effects of a two-level
    model (Liang & Zeger 1986), variance components taken as known.
    """
    residual = design.y - design.X @ fit.beta
    order = np.argsort(design.client, kind="stable")
    starts = np.searchsorted(design.client[order], np.arange(design.n_clients))
    scores = np.zeros((design.n_clients, len(fit.names)))
    for i, rows in enumerate(np.split(order, starts[1:])):
        X, r = design.X[rows], residual[rows]
        Z = X[:, design.client_columns]
        inner = fit.sigma**2 * np.eye(Z.shape[1]) + Z.T @ Z @ fit.client_cov
        solved = r - Z @ fit.client_cov @ np.linalg.solve(inner, Z.T @ r)
        scores[i] = X.T @ solved / fit.sigma**2
    return scores @ fit.vcov


def _term_rows(term: str, first: _Side, second: _Side, context: RowContext) -> list[Estimate]:
    maker = maker_of(first.fit, first.design, context)
    rows = []
    for which, side in (("first", first), ("second", second)):
        words = (
            f"{_WHERE[term]}: {side.label} and {context.outcome_label}, standardised, on the rows "
            "where both ratings were made"
        )
        found = _robust(side.effect(term), side.influence_on(term))
        rows.append(_row(maker, f"{term}_{which}", term, words, found, predictor=side.name))
    difference = first.effect(term) - second.effect(term)
    found = _robust(difference, first.influence_on(term) - second.influence_on(term))
    words = (
        f"{_WHERE[term]}: standardised effect of {first.label} minus that of {second.label} "
        "(negative: the first goes more strongly with a better outcome)"
    )
    return [*rows, _row(maker, f"{term}_difference", term, words, found)]


def _robust(estimate: float, influence: FloatArray) -> Contrast:
    n = influence.size
    se = float(np.sqrt(n / (n - 1) * np.sum(influence**2)))
    half = float(stats.t.ppf(0.975, n - 1)) * se
    p = float(2 * stats.t.sf(abs(estimate) / se, n - 1)) if se > 0 else np.nan
    return Contrast(estimate, se, n - 1.0, estimate - half, estimate + half, p)


def _row(
    maker: RowMaker, name: str, term: str, words: str, found: Contrast, **more: object
) -> Estimate:
    shared = {"level": _LEVEL[term], "estimand": words, "units": _UNITS[term]}
    return maker.inference(name, "contrast", found, _INTERVAL, **shared, **more)


def _refused(refusal: Refusal, context: RowContext) -> list[Estimate]:
    maker = RowMaker(None, context, context.estimator, ("", "ok", ""))
    return [
        maker.row(
            f"{term}_difference",
            "contrast",
            level=_LEVEL[term],
            estimand=f"{_WHERE[term]}: difference of the two standardised effects",
            units=_UNITS[term],
            status="not_estimated",
            reason=f"{refusal.reason}. {refusal.advice}",
        )
        for term in ("within", "between")
    ]
