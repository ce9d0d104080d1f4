"""What a fitted model is asked besides its estimates: residuals, tests of variances, bootstrap."""

from __future__ import annotations

from alliance.estimates import Estimate
from alliance.estimation.bootstrap_rows import bootstrap_rows
from alliance.estimation.design import ModelDesign
from alliance.estimation.refusal import Refusal
from alliance.estimation.reml import LmmFit
from alliance.estimation.residual_rows import residual_rows
from alliance.estimation.row_maker import RowMaker, verdict
from alliance.estimation.terms import RowContext
from alliance.estimation.variance_tests import variance_test_rows
from alliance.seeds import derive_seed


def further_rows(
    fit: LmmFit | Refusal,
    design: ModelDesign | Refusal,
    context: RowContext,
    bootstrap: int = 0,
    seed: int = 0,
    profile: bool = True,
) -> list[Estimate]:
    """Rows beside those of ``reml_rows``, which has told the reason of a refusal already.

    Parameters
    ----------
    bootstrap : resamples of the cluster bootstrap. seed : of the study.
    profile : profile-likelihood intervals.
    """
    if isinstance(fit, Refusal) or isinstance(design, Refusal):
        return []
    maker = RowMaker(design, context, fit.estimator, verdict(fit))
    return [
        *residual_rows(fit, maker, profile),
        *variance_test_rows(fit, maker),
        *bootstrap_rows(fit, maker, bootstrap, derive_seed(seed, "bootstrap", context.analysis)),
    ]
