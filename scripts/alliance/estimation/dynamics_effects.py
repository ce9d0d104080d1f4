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
N_DRAWS = 2**14  # a power of two, as Sobol sequences want
MIN_SCORES_PERSON = 5
LEAST_OWN_SD = 0.2  # of the median client's
_Z = float(stats.norm.ppf(0.975))
_PERCENTILES = tuple(100.0 * float(stats.norm.cdf(z)) for z in (-_Z, -1.0, 1.0, _Z))
DRAWS_IN_WORDS = f"95% percentile of {N_DRAWS:,} normal draws"


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


def impulse_responses(fit: VarFit, horizon: int = HORIZON, seed: int = 0) -> Effects:
    """(horizon + 1, phases, k, k): series [row] h sessions after one raw unit more of [column].

    See :func:`responses_of`; entry h is response h, so that the first is that of the same session.
    Intervals are percentiles of normal draws of the coefficients (:func:`of_draws`). Wald intervals
    of powers of an autoregression are too short and centred in the wrong place: with 5 sessions and
    trends of the clients' own they covered 85 % after three and 72 % after six sessions, those of
    draws 91 and 90 % (benchmarks/dynamics).
    """
    same_session = fit.layout.structure.same_session
    drawn = responses_of(coefficient_draws(fit, seed), same_session, horizon)
    estimate = responses_of(fit.coefficients, same_session, horizon)
    return of_draws(estimate, np.moveaxis(drawn, 1, 0), DRAWS_IN_WORDS)


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


def is_cross_lag(fit: VarFit, target: int, source: int, horizon: int) -> bool:
    """Whether the response after ``horizon`` sessions is the cross-lag itself, whatever its value.

    With a third series measured between the two it is not: what passes through that comes on top.
    """
    same_session = fit.layout.structure.same_session
    tried = np.random.default_rng(0).normal(size=(3, *same_session.shape)) * fit.layout.free
    responses = responses_of(tried, same_session, horizon)[horizon]
    return np.allclose(responses[:, target, source], tried[:, target, source], rtol=1e-9, atol=0.0)


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
    drawn = coefficient_draws(fit, seed)
    A, _ = reduced(drawn, fit.layout.structure.same_session)
    stationary = (np.abs(np.linalg.eigvals(A)).max(axis=-1) < 1.0).all(axis=1)
    left = 100.0 * (1.0 - stationary.mean())
    words = f"{DRAWS_IN_WORDS} ({left:.1f}% not stationary, left out)"
    return of_draws(function(fit.coefficients), function(drawn[stationary]), words)


def coefficient_draws(fit: VarFit, seed: int) -> FloatArray:
    """(N_DRAWS, phases, k, k) coefficients in raw units, drawn from their normal approximation."""
    part = fit.layout.slices[1]
    moved = normal_draws(fit.x[part], fit.x_cov[part, part], seed)
    drawn = np.zeros((N_DRAWS, *fit.parts[1].shape))
    drawn[:, :, fit.layout.free] = moved.reshape(N_DRAWS, fit.parts[1].shape[0], -1)
    return drawn * (fit.scale[:, None] / fit.scale[None, :])


def normal_draws(mean: FloatArray, covariance_of: FloatArray, seed: int) -> FloatArray:
    """(N_DRAWS, p) draws from the normal distribution of estimates; the same seed, the same.

    Points of a scrambled Sobol sequence, which fill the distribution evenly: the limits of an
    interval then hardly depend on the seed.
    """
    values, vectors = np.linalg.eigh(covariance_of)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    standard = stats.qmc.MultivariateNormalQMC(np.zeros(mean.size), seed=seed)
    return mean + standard.random(N_DRAWS) @ root.T


def of_draws(estimate: FloatArray, drawn: FloatArray, interval: str) -> Effects:
    """Percentile intervals of a function of normal draws of estimates.

    Parameters
    ----------
    estimate : the function of the estimates. drawn : (draws, *estimate.shape) of the draws.

    Notes
    -----
    The Monte Carlo method of Krinsky & Robb (1986, Review of Economics and Statistics 68(4),
    715-719); for indirect effects MacKinnon, Lockwood & Williams (2004, Multivariate Behavioral
    Research 39(1), 99-128). The standard error is half the width of the central 68.3 % of the
    draws: that of a normal distribution, and finite where a ratio has no variance.
    """
    low, lower, upper, high = np.percentile(drawn, _PERCENTILES, axis=0)
    return Effects(estimate, 0.5 * (upper - lower), low, high, interval)


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
