"""Cluster-bootstrap standard errors as rows of the estimates table."""

from __future__ import annotations

import numpy as np

from alliance.estimates import Estimate
from alliance.estimation.bootstrap import Bootstrap, cluster_bootstrap
from alliance.estimation.design import MIN_THERAPISTS, ModelDesign
from alliance.estimation.design_groups import MIN_CLIENTS_PER_THERAPIST
from alliance.estimation.reml import LmmFit
from alliance.estimation.row_maker import RowMaker
from alliance.estimation.terms import describe_term

LARGEST_SHARE_FAILED = 0.05
_TERMS = ("within", "between", "between_therapist", "contextual", "time")


def bootstrap_rows(
    fit: LmmFit,
    maker: RowMaker,
    replicates: int,
    seed: int,
    min_therapists: int = MIN_THERAPISTS,
) -> list[Estimate]:
    """Standard errors and percentile intervals from samples of whole clients and therapists.

    Parameters
    ----------
    replicates : resamples; none gives no rows.
    min_therapists : therapists with three clients each without which therapists are not sampled
        (methods 1.8).
    """
    design = maker.design
    if not replicates or design is None or fit.solution is None or not fit.converged:
        return []
    terms = [name for name in fit.names if name in _TERMS]
    made = cluster_bootstrap(fit, design, "client", replicates, seed)
    rows = [_row(fit, maker, term, made) for term in terms]
    reason = _too_few_therapists(design, min_therapists)
    if reason:
        return [*rows, *(_absent(maker, term, reason) for term in terms[:1])]
    made = cluster_bootstrap(fit, design, "therapist", replicates, seed)
    return [*rows, *(_row(fit, maker, term, made) for term in terms)]


def _too_few_therapists(design: ModelDesign, min_therapists: int) -> str:
    owner = design.therapist_of_client
    if owner is None:
        return "the study has no column of therapists"
    enough = int((np.bincount(owner) >= MIN_CLIENTS_PER_THERAPIST).sum())
    if enough >= min_therapists:
        return ""
    need = f"{MIN_CLIENTS_PER_THERAPIST} or more clients each; {min_therapists} are needed"
    return f"{enough} therapists have {need} to sample therapists"


def _row(fit: LmmFit, maker: RowMaker, term: str, made: Bootstrap) -> Estimate:
    k = fit.names.index(term)
    low, high = made.interval()[:, k]
    drawn = len(made.beta) + made.failed
    numbers: dict[str, object] = {
        "estimate": float(fit.beta[k]),
        "se": float(made.se()[k]),
        "ci_low": float(low),
        "ci_high": float(high),
        "interval": f"95% percentile, cluster bootstrap by {made.unit} ({drawn} resamples)",
    }
    if made.failed > LARGEST_SHARE_FAILED * drawn:
        reason = f"{made.failed} of {drawn} resamples could not be fitted"
        numbers |= {"status": "diagnostics_failed", "reason": reason}
    return maker.row(f"boot_{made.unit}_{term}", "bootstrap", **_named(maker, term), **numbers)


def _named(maker: RowMaker, term: str) -> dict[str, str]:
    level, words, units = describe_term(term, maker.design, maker.context)
    return {"level": level, "estimand": words, "units": units}


def _absent(maker: RowMaker, term: str, reason: str) -> Estimate:
    return maker.row(
        f"boot_therapist_{term}",
        "bootstrap",
        status="not_estimated",
        reason=reason,
        **_named(maker, term),
    )
