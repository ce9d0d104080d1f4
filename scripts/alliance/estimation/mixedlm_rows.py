"""The independent check by statsmodels as rows of the estimates table."""

from __future__ import annotations

import numpy as np
from scipy import stats

from alliance.estimates import Estimate
from alliance.estimation.design import ModelDesign
from alliance.estimation.mixedlm import MixedLmFit
from alliance.estimation.refusal import Refusal
from alliance.estimation.reml import Contrast
from alliance.estimation.row_maker import RowMaker, refused_rows
from alliance.estimation.terms import RowContext


def mixedlm_rows(
    fit: MixedLmFit | Refusal, design: ModelDesign | Refusal, context: RowContext
) -> list[Estimate]:
    """Rows of the independent check: fixed effects only."""
    estimator = "MixedLM (statsmodels)"
    if isinstance(design, Refusal):
        return refused_rows(design, context, estimator)
    if isinstance(fit, Refusal):
        return refused_rows(fit, context, estimator, design)
    status = "ok" if fit.converged else "diagnostics_failed"
    verdict = ("yes" if fit.converged else "no", status, "" if fit.converged else fit.message)
    maker = RowMaker(design, context, estimator, verdict)
    rows = []
    for name, estimate, se in zip(design.names, fit.beta, fit.se, strict=True):
        half = float(stats.norm.ppf(0.975)) * se
        p = float(2 * stats.norm.sf(abs(estimate) / se))
        found = Contrast(estimate, se, np.inf, estimate - half, estimate + half, p)
        other = "; ".join(filter(None, [context.known_bias, fit.model]))
        rows.append(maker.inference(name, "fixed", found, "95% Wald", known_bias=other))
    return rows
