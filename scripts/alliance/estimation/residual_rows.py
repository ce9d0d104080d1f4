"""The structure of the residuals as rows of the estimates table."""

from __future__ import annotations

from scipy import stats

from alliance.estimates import Estimate
from alliance.estimation.design import ModelDesign
from alliance.estimation.profile_likelihood import profile_interval
from alliance.estimation.reml import LmmFit
from alliance.estimation.row_maker import RowMaker

PROFILE = "95% profile likelihood"


def residual_rows(fit: LmmFit, maker: RowMaker, profile: bool = True) -> list[Estimate]:
    """Correlation, residual SD of each category, and the test against independent residuals.

    Parameters
    ----------
    fit : without a structure of the residuals there are no rows.
    profile : profile-likelihood intervals.
    """
    design = maker.design
    if fit.residuals is None or design is None or design.residuals is None:
        return []
    intervals = profile and fit.converged
    return [
        *_correlation_row(fit, maker, design, intervals),
        *_category_rows(fit, maker, design, intervals),
        _test_row(fit, maker),
    ]


def _correlation_row(
    fit: LmmFit, maker: RowMaker, design: ModelDesign, intervals: bool
) -> list[Estimate]:
    structure, found = design.residuals, fit.residuals
    assert structure is not None
    assert found is not None
    if not structure.serial:
        return []
    unit = maker.context.time_unit
    apart = f"one {unit}" if structure.step == 1 else f"{structure.step} {unit}s"
    words = (
        f"Correlation of the residuals of {maker.context.outcome_label} {apart} apart within "
        "clients; it falls as a power of the distance"
    )
    limits = _limits(fit, "residual_correlation", intervals)
    return [
        maker.row(
            "residual_correlation",
            "correlation",
            level="within_client",
            estimand=words,
            units="correlation",
            estimate=found.rho,
            **limits,
        )
    ]


def _category_rows(
    fit: LmmFit, maker: RowMaker, design: ModelDesign, intervals: bool
) -> list[Estimate]:
    structure, found = design.residuals, fit.residuals
    assert structure is not None
    assert found is not None
    if len(structure.group_names) < 2:
        return []
    return [
        maker.row(
            f"sd_residual[{name}]",
            "standard_deviation",
            level="within_client",
            estimand=f"Residual SD of {maker.context.outcome_label} within clients, "
            f"{structure.by}: {name}",
            units=maker.context.outcome_units,
            estimate=float(found.sd[k]),
            **_limits(fit, f"sd_residual[{k}]", intervals),
        )
        for k, name in enumerate(structure.group_names)
    ]


def _limits(fit: LmmFit, term: str, intervals: bool) -> dict[str, object]:
    if not intervals:
        return {}
    low, high = profile_interval(fit, term)
    return {"ci_low": low, "ci_high": high, "interval": PROFILE}


def _test_row(fit: LmmFit, maker: RowMaker) -> Estimate:
    """Both values of the null hypothesis lie inside the range: an ordinary chi-square."""
    assert fit.residuals is not None
    extra = fit.residuals.rows.n_extra
    words = (
        f"Likelihood-ratio test of the structure of the residuals of {maker.context.outcome_label} "
        f"against independent residuals of one size (chi-square, {extra} df)"
    )
    statistic = max(fit.residuals.independent_deviance - fit.deviance, 0.0)
    return maker.row(
        "lr_residuals",
        "test",
        level="within_client",
        estimand=words,
        units="chi-square",
        estimate=statistic,
        df=extra,
        p=float(stats.chi2.sf(statistic, extra)),
    )
