"""All coefficients of one scale with bootstrap intervals, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from alliance.reliability.internal_consistency import alpha, fit_one_factor, omega_many
from alliance.reliability.sums import ClientSums, covariances
from alliance.reliability.variance_components import generalizability

Array = NDArray[np.float64]
LEVELS = ("within_client", "between_client", "total")
COEFFICIENTS = (
    *((level, coefficient) for level in LEVELS for coefficient in ("alpha", "omega")),
    ("within_client", "Rcn"),
    ("within_client", "Rcn_detrended"),
    ("between_client", "RkRn"),
)
MIN_CLIENTS = 10
# Share of bootstrap samples that must give a coefficient before an interval is told.
MIN_BOOTSTRAP_SHARE = 0.90


@dataclass(frozen=True)
class Coefficient:
    """One coefficient with its interval, or the reason why there is none."""

    estimate: float = np.nan
    ci_low: float = np.nan
    ci_high: float = np.nan
    status: str = "ok"
    reason: str = ""


def scale_reliability(
    sums: ClientSums | None, weights: Array
) -> dict[tuple[str, str], Coefficient]:
    """All coefficients of one scale, by (level, coefficient).

    Parameters
    ----------
    sums : of the scale's items; None where no form is complete.
    weights : (B, G) bootstrap weights of the clients; B = 0 gives no intervals.
    """
    refusal = _why_not(sums)
    if sums is None or refusal:
        return refuse_all(refusal)
    at_levels, resampled = covariances(sums), covariances(sums, weights)
    results: dict[tuple[str, str], Coefficient] = {}
    for level in LEVELS:
        one, many = at_levels[level][0], resampled[level]
        results[level, "alpha"] = _alpha_row(one, many, len(sums.n))
        results[level, "omega"] = _omega_row(one, many, len(sums.n))
    single, repeated = generalizability(sums), generalizability(sums, weights)
    for key, value in single.items():
        results[key] = _component_row(key[1], float(value[0]), repeated[key], len(sums.n))
    return results


def _why_not(sums: ClientSums | None) -> str:
    if sums is None:
        return "no complete form"
    if sums.n_items < 2:
        return "a single item has no internal consistency"
    repeated = int((sums.n >= 2).sum())
    if repeated < MIN_CLIENTS:
        return f"{repeated} clients with two complete forms; {MIN_CLIENTS} are needed"
    return ""


def refuse_all(reason: str) -> dict[tuple[str, str], Coefficient]:
    return {key: Coefficient(status="not_estimated", reason=reason) for key in COEFFICIENTS}


def _alpha_row(one: Array, many: Array, n_clients: int) -> Coefficient:
    estimate = float(alpha(one))
    if not np.isfinite(estimate):
        reason = "the variance of the sum is not positive at this level"
        return Coefficient(status="not_estimated", reason=reason)
    return _with_interval(estimate, alpha(many), n_clients)


def _omega_row(one: Array, many: Array, n_clients: int) -> Coefficient:
    if len(one) < 3:
        return Coefficient(status="not_estimated", reason="one factor needs three items")
    flat = int((np.diag(one) <= 0).sum())
    if flat:
        reason = f"no positive variance of {flat} of {len(one)} items at this level"
        return Coefficient(status="not_estimated", reason=reason)
    fit = fit_one_factor(one)
    if not fit.converged:
        return Coefficient(status="not_estimated", reason="the one-factor model did not converge")
    row = _with_interval(fit.omega, omega_many(many, fit), n_clients)
    if fit.heywood:
        reason = "Heywood case: an item without unique variance at this level"
        return Coefficient(row.estimate, row.ci_low, row.ci_high, "diagnostics_failed", reason)
    return row


def _component_row(coefficient: str, estimate: float, many: Array, n_clients: int) -> Coefficient:
    if not np.isfinite(estimate):
        reason = (
            "no client with three forms"
            if coefficient == "Rcn_detrended"
            else "no variance within clients"
        )
        return Coefficient(status="not_estimated", reason=reason)
    row = _with_interval(estimate, many, n_clients)
    if estimate == 0:
        reason = "a variance component was estimated as zero"
        return Coefficient(row.estimate, row.ci_low, row.ci_high, "diagnostics_failed", reason)
    return row


def _with_interval(estimate: float, many: Array, n_clients: int) -> Coefficient:
    """t interval with the bootstrap's standard error, on the scale of log(1 - coefficient).

    Feldt (1965) and Hakstian & Whalen (1976) work on such a scale; the factor G / (G - 1) undoes
    that resampled clients vary less than clients. ``benchmarks/reliability`` holds its coverage
    against that of percentiles, which are used where coefficients of one or more occur.
    """
    good = many[np.isfinite(many)]
    if len(many) == 0:
        return Coefficient(estimate)
    if len(good) < MIN_BOOTSTRAP_SHARE * len(many):
        reason = f"no interval: {len(good)} of {len(many)} bootstrap samples gave a number"
        return Coefficient(estimate, reason=reason)
    if estimate >= 1 or good.max() >= 1 or n_clients < 2:
        low, high = np.quantile(good, [0.025, 0.975])
        return Coefficient(estimate, float(low), float(high))
    se = np.log1p(-good).std(ddof=1) * np.sqrt(n_clients / (n_clients - 1))
    half = float(scipy.stats.t.ppf(0.975, n_clients - 1) * se)
    middle = float(np.log1p(-estimate))
    low, high = -np.expm1(middle + half), -np.expm1(middle - half)
    # A coefficient that cannot be negative has no negative end either.
    return Coefficient(estimate, float(max(low, 0.0) if good.min() >= 0 else low), float(high))
