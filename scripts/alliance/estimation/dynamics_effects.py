"""What follows from a fitted dynamic model: effect sizes, long-run effects, impulse responses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from alliance.estimation.dynamics import VarFit
from alliance.likelihood.random_intercept_var import covariance

FloatArray = NDArray[np.float64]

HORIZON = 6  # sessions over which responses are followed
N_DRAWS = 20_000
MIN_SCORES_PERSON = 5
LEAST_OWN_SD = 0.2  # of the median client's
_Z = float(stats.norm.ppf(0.975))


@dataclass(frozen=True)
class Effects:
    """Estimates of the same shape with standard errors and 95 % intervals.

    Attributes
    ----------
    interval : how the interval was made.
    """

    estimate: FloatArray
    se: FloatArray
    low: FloatArray
    high: FloatArray
    interval: str

    @property
    def p(self) -> FloatArray:
        """Two-sided Wald p values."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return 2.0 * stats.norm.sf(np.abs(self.estimate / self.se))


def delta(
    fit: VarFit, function: Callable[[FloatArray], FloatArray], interval: str = "95% Wald"
) -> Effects:
    """Delta-method errors of a function of the parameter vector.

    Parameters
    ----------
    function : from ``fit.x`` to an array of any shape; its derivatives are central differences.
    """
    estimate = np.asarray(function(fit.x))
    steps = _steps(fit)
    slopes = []
    for j, size in enumerate(steps):
        step = np.zeros_like(fit.x)
        step[j] = size
        slopes.append((function(fit.x + step) - function(fit.x - step)).ravel() / (2.0 * size))
    slope = np.array(slopes)
    se = np.sqrt(np.maximum(np.einsum("ja,jk,ka->a", slope, fit.x_cov, slope), 0.0))
    se = se.reshape(estimate.shape)
    return Effects(estimate, se, estimate - _Z * se, estimate + _Z * se, interval)


def _steps(fit: VarFit) -> FloatArray:
    """A hundredth of a standard error, but small where there is no telling (a variance of zero)."""
    return np.clip(0.01 * np.sqrt(np.diag(fit.x_cov)), 1e-7, 0.01)


def coefficients(fit: VarFit) -> Effects:
    """(phases, k, k) autoregressions and cross-lags [target, source] in raw units."""
    return delta(fit, fit.raw_coefficients)


def within_sd(fit: VarFit, x: FloatArray | None = None) -> FloatArray:
    """(k,) model-implied within-client SDs in raw units, averaged over the observed sessions."""
    at = fit.x if x is None else x
    within = covariance(*fit.layout.unpack(at)[1:], *fit.layout.structure.arrays())[1]
    variances = np.diag(within).reshape(fit.series.n_sessions, -1)
    weights = fit.series.seen.sum(axis=0)
    mean = (variances * weights).sum(axis=0) / weights.sum(axis=0)
    return np.sqrt(mean) * fit.scale


def standardised(fit: VarFit) -> Effects:
    """(phases, k, k) coefficients in model-implied within-client SDs (of target per source)."""

    def at(x: FloatArray) -> FloatArray:
        sd = within_sd(fit, x)
        return fit.raw_coefficients(x) * (sd[None, :] / sd[:, None])

    return delta(fit, at)


def person_ratio(fit: VarFit, target: int, source: int) -> tuple[float, int]:
    """Mean over clients of SD_i(source) / SD_i(target), and the number of clients.

    Person-specific standardisation (Schuurman et al. 2016, Psychological Methods 21(2)) with the
    same coefficient for all; which clients count says :func:`own_ratios`.
    """
    ratios = own_ratios(fit, target, source)
    known = np.isfinite(ratios)
    return (float(ratios[known].mean()) if known.any() else np.nan), int(known.sum())


def own_ratios(fit: VarFit, target: int, source: int) -> FloatArray:
    """(n,) SD_i(source) / SD_i(target) of each client; NaN of those who do not count.

    Clients count with five or more scores of both, detrended by a line of their own when the model
    has random trends, whose own SD of the target is at least a fifth of the median client's. The
    ratio has no mean where the target hardly varies: without a floor, one nearly constant client
    of 150 tripled it. The floor is a choice of this package; by chance alone, 0.3 % of clients with
    five normal scores (chi-squared with 4 degrees of freedom below 4 x 0.2 ** 2) lie below it.
    """
    own_sd = np.array(
        [
            [_own_sd(scores[:, j], fit.spec.random_trend) for j in (source, target)]
            for scores in fit.series.scores
        ]
    )
    known = np.isfinite(own_sd).all(axis=1)
    if not known.any():
        return np.full(len(own_sd), np.nan)
    floor = LEAST_OWN_SD * float(np.median(own_sd[known, 1]))
    known &= own_sd[:, 1] >= max(floor, np.finfo(float).tiny)
    return np.divide(own_sd[:, 0], own_sd[:, 1], np.full(len(own_sd), np.nan), where=known)


def _own_sd(scores: FloatArray, detrend: bool) -> float:
    when = np.flatnonzero(~np.isnan(scores))
    if when.size < MIN_SCORES_PERSON:
        return np.nan
    values = scores[when]
    columns = np.column_stack([np.ones(when.size), when] if detrend else [np.ones(when.size)])
    rest = values - columns @ np.linalg.lstsq(columns, values, rcond=None)[0]
    return float(np.sqrt(rest @ rest / (when.size - columns.shape[1])))


def reduced(coefficients: FloatArray, same_session: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(..., k, k) reduced form A and the lead (I - A0)^-1 of structural coefficients."""
    now = coefficients * same_session
    lead = np.linalg.inv(np.eye(coefficients.shape[-1]) - now)
    return lead @ (coefficients - now), lead


def impulse_responses(fit: VarFit, horizon: int = HORIZON) -> Effects:
    """(horizon + 1, phases, k, k): series [row] h sessions after one raw unit more of [column].

    See :func:`responses_of`; entry h is response h, so that the first is that of the same session.
    """
    same_session = fit.layout.structure.same_session
    return delta(fit, lambda x: responses_of(fit.raw_coefficients(x), same_session, horizon))


def responses_of(coefficients: FloatArray, same_session: FloatArray, horizon: int) -> FloatArray:
    """(horizon + 1, ..., k, k) impulse responses of structural coefficients.

    Response h is ``A^h (I - A0)^-1``: what the unit does within its own session, to series that
    are measured later in it, is carried on.
    """
    A, lead = reduced(coefficients, same_session)
    responses = [lead]
    for _ in range(horizon):
        responses.append(A @ responses[-1])
    return np.array(responses)


def held_effects(coefficients: FloatArray) -> FloatArray:
    """(..., k, k) lasting change of target when source is held one unit higher for good.

    ``beta / (1 - phi_target)``; NaN on the diagonal. Other series are held still.
    """
    phi = np.diagonal(coefficients, axis1=-2, axis2=-1)
    out = coefficients / (1.0 - phi[..., :, None])
    k = coefficients.shape[-1]
    out[..., np.arange(k), np.arange(k)] = np.nan
    return out


def equilibrium_effects(coefficients: FloatArray) -> FloatArray:
    """(..., k, k) ``(I - B)^-1``: lasting change of the row series per unit by which the column
    series is pushed at every session, feedback included."""
    return np.linalg.inv(np.eye(coefficients.shape[-1]) - coefficients)


def long_run(fit: VarFit, function: Callable[[FloatArray], FloatArray], seed: int = 0) -> Effects:
    """Long-run effects with percentile intervals from normal draws of the coefficients.

    Ratios are skewed, so their Wald intervals mislead. Draws that are not stationary, where no
    long-run effect exists, are left out; their share is said in ``interval``.
    """
    estimate = function(fit.coefficients)
    part = fit.layout.slices[1]
    rng = np.random.default_rng(seed)
    values, vectors = np.linalg.eigh(fit.x_cov[part, part])
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    moved = fit.x[part] + rng.normal(size=(N_DRAWS, root.shape[0])) @ root.T
    drawn = np.zeros((N_DRAWS, *fit.parts[1].shape))
    drawn[:, :, fit.layout.free] = moved.reshape(N_DRAWS, fit.parts[1].shape[0], -1)
    A, _ = reduced(drawn, fit.layout.structure.same_session)
    stationary = (np.abs(np.linalg.eigvals(A)).max(axis=-1) < 1.0).all(axis=1)
    raw = drawn[stationary] * (fit.scale[:, None] / fit.scale[None, :])
    found = function(raw)
    low, high = np.percentile(found, [2.5, 97.5], axis=0)
    left = 100.0 * (1.0 - stationary.mean())
    words = f"95% percentile of {N_DRAWS} normal draws ({left:.1f} % not stationary, left out)"
    return Effects(estimate, found.std(axis=0, ddof=1), low, high, words)


@dataclass(frozen=True)
class WaldTest:
    """Chi-squared test of several equations."""

    chi2: float
    df: int
    p: float


def first_session_test(fit: VarFit) -> WaldTest:
    """Whether the first session has the covariance that the process settles to.

    The settled covariance solves ``P = A P A' + Q`` of the last phase.
    """
    k = fit.series.n_series
    rows, columns = np.tril_indices(k)

    def difference(x: FloatArray) -> FloatArray:
        _, B, innovation, first, _ = fit.layout.unpack(x)
        A, lead = reduced(B[-1], fit.layout.structure.same_session)
        Q = lead @ innovation @ innovation.T @ lead.T
        settled = np.linalg.solve(np.eye(k * k) - np.kron(A, A), Q.ravel()).reshape(k, k)
        return (first @ first.T - settled)[rows, columns]

    return wald(fit, difference)


def wald(fit: VarFit, function: Callable[[FloatArray], FloatArray]) -> WaldTest:
    """Test that all entries of a function of the parameter vector are zero."""
    value = function(fit.x)
    steps = _steps(fit)
    slope = np.array(
        [
            (function(fit.x + step) - function(fit.x - step)) / (2.0 * size)
            for size, step in zip(steps, np.diag(steps), strict=True)
        ]
    )
    covariance_of = slope.T @ fit.x_cov @ slope
    chi2 = float(value @ np.linalg.solve(covariance_of, value))
    return WaldTest(chi2, value.size, float(stats.chi2.sf(chi2, value.size)))
