"""Rows of variance parameters: SDs, correlations and shares of variance, with their intervals."""

from __future__ import annotations

import numpy as np
from scipy import stats

from alliance.estimates import Estimate
from alliance.estimation.bootstrap import parametric_bootstrap
from alliance.estimation.design import pairs
from alliance.estimation.profile_likelihood import profile_interval
from alliance.estimation.reml import LmmFit
from alliance.estimation.row_maker import RowMaker


def slope_spread(fit: LmmFit, name: str) -> dict[str, float]:
    """SD of the clients' slopes and share of them with the sign of the average slope."""
    if name not in fit.random_names or name == "intercept":
        return {}
    return {
        "sd_random_slope": fit.sd(name),
        "pct_clients_same_sign": same_sign_percentage(fit.coefficient(name), fit.sd(name)),
    }


def same_sign_percentage(slope: float, sd: float) -> float:
    """Percentage of a normal distribution of slopes on the side of zero where its mean is."""
    return 100.0 if sd == 0 else float(100 * stats.norm.cdf(abs(slope) / sd))


def variance_rows(fit: LmmFit, maker: RowMaker, profile: bool) -> list[Estimate]:
    rows = [
        _variance_row(fit, maker, f"sd_{name}", fit.sd(name), profile) for name in fit.random_names
    ]
    if "within" in fit.random_names:
        spread = slope_spread(fit, "within")
        share = spread["pct_clients_same_sign"]
        rows.append(maker.row("pct_same_sign", "proportion", estimate=share, **spread))
    rows += _correlation_rows(fit, maker, profile)
    rows += _therapist_correlation_rows(fit, maker)
    for name, variance in zip(fit.therapist_names, np.diag(fit.therapist_cov), strict=True):
        term = "sd_therapist" if name == "intercept" else f"sd_therapist_{name}"
        rows.append(_variance_row(fit, maker, term, float(np.sqrt(variance)), profile))
    rows.append(_variance_row(fit, maker, "sd_residual", fit.sigma, profile))
    return rows + _icc_rows(fit, maker)


def _variance_row(fit: LmmFit, maker: RowMaker, term: str, value: float, profile: bool) -> Estimate:
    kind = "correlation" if term.startswith("cor_") else "standard_deviation"
    if not profile or fit.solution is None or not fit.converged:
        return maker.row(term, kind, estimate=value)
    low, high = profile_interval(fit, term)
    interval = "95% profile likelihood"
    if not np.isfinite([low, high]).all():
        return _bootstrapped_row(fit, maker, term, kind, value)
    return maker.row(term, kind, estimate=value, ci_low=low, ci_high=high, interval=interval)


def _bootstrapped_row(fit: LmmFit, maker: RowMaker, term: str, kind: str, value: float) -> Estimate:
    """A variance parameter whose profile never rises to its limit: outcomes drawn from the fit."""
    draws = np.zeros(0)
    if maker.design is not None and fit.residuals is None:
        draws = parametric_bootstrap(fit, maker.design).get(term, draws)
    if not draws.size:
        return maker.row(term, kind, estimate=value)
    low, high = np.quantile(draws, [0.025, 0.975])
    interval = f"95% parametric bootstrap ({draws.size} resamples)"
    limits = {"ci_low": float(low), "ci_high": float(high), "interval": interval}
    return maker.row(term, kind, estimate=value, **limits)


def _correlation_rows(fit: LmmFit, maker: RowMaker, profile: bool) -> list[Estimate]:
    if maker.design is None:
        return []
    rows = []
    for a, b in pairs(maker.design):
        term = f"cor_{fit.random_names[a]}_{fit.random_names[b]}"
        size = float(np.sqrt(fit.client_cov[a, a] * fit.client_cov[b, b]))
        if {fit.random_names[a], fit.random_names[b]} & set(fit.zero_sd) or size == 0:
            reason = "a correlation with a random effect whose SD is estimated as zero"
            rows.append(maker.absent(term, "correlation", reason))
            continue
        value = float(np.clip(fit.client_cov[a, b] / size, -1, 1))
        rows.append(_variance_row(fit, maker, term, value, profile))
    return rows


def _therapist_correlation_rows(fit: LmmFit, maker: RowMaker) -> list[Estimate]:
    """Correlations of random effects of therapists, where therapists have slopes."""
    rows = []
    for b, name in enumerate(fit.therapist_names):
        for a, first in enumerate(fit.therapist_names[:b]):
            term = f"cor_therapist_{first}_{name}"
            words = f"Correlation between therapists of {first} and {name} effects"
            size = float(np.sqrt(fit.therapist_cov[a, a] * fit.therapist_cov[b, b]))
            numbers: dict[str, object] = {"level": "between_therapist", "estimand": words}
            numbers["units"] = "correlation"
            if size > 0:
                numbers["estimate"] = float(np.clip(fit.therapist_cov[a, b] / size, -1, 1))
            else:
                reason = "a correlation with a random effect whose SD is estimated as zero"
                numbers |= {"status": "not_estimated", "reason": reason}
            rows.append(maker.row(term, "correlation", **numbers))
    return rows


def _icc_rows(fit: LmmFit, maker: RowMaker) -> list[Estimate]:
    if "intercept" not in fit.random_names:
        return []
    client = fit.sd("intercept") ** 2
    upper = float(fit.therapist_cov[0, 0]) if fit.therapist_cov.size else 0.0
    total = client + upper + fit.sigma**2
    limits = icc_interval(fit)
    interval = "95% Wald on the logit scale" if np.isfinite(limits[0]) else ""
    rows = [
        maker.row(
            "icc",
            "proportion",
            estimate=client / total,
            ci_low=limits[0],
            ci_high=limits[1],
            interval=interval,
        )
    ]
    if fit.therapist_cov.size:
        rows.append(maker.row("icc_therapist", "proportion", estimate=upper / total))
    return rows


def icc_interval(fit: LmmFit, level: float = 0.95) -> tuple[float, float]:
    """Interval of the clients' share of the unexplained variance, Wald on the logit scale.

    With theta the relative Cholesky factor, the odds of the share are
    ``theta_00^2 / (1 + theta_T^2)``, whose logarithm is well behaved; its error follows from the
    Hessian of the deviance in theta. NaN on the boundary, and where residuals have a structure.
    """
    missing = (np.nan, np.nan)
    if fit.solution is None or fit.residuals is not None or fit.singular:
        return missing
    theta = fit.solution.theta
    hessian = fit.solution.curvature.profiled()
    if np.linalg.eigvalsh(hessian)[0] <= 0:
        return missing
    k = len(fit.random_names)
    upper = theta[k * (k + 1) // 2] if fit.therapist_cov.size else 0.0
    slope = np.zeros_like(theta)
    slope[0] = 2 / theta[0]
    if fit.therapist_cov.size:
        slope[k * (k + 1) // 2] = -2 * upper / (1 + upper**2)
    logit = float(np.log(theta[0] ** 2 / (1 + upper**2)))
    se = float(np.sqrt(2 * slope @ np.linalg.solve(hessian, slope)))
    half = float(stats.norm.ppf(0.5 + level / 2)) * se
    low, high = (float(1 / (1 + np.exp(-(logit + sign * half)))) for sign in (-1, 1))
    return low, high
