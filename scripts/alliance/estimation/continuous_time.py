"""Maximum likelihood in continuous time: does the session or the calendar set the pace?

The same process is fitted with two clocks, session numbers and weeks, to the same ratings with the
same course over sessions, so that their AIC can be compared. Both series are placed at the session
itself: what passes between them within a session is part of the covariance of what is new.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, stats

from alliance.estimation.dynamics import VarFit, fit_var
from alliance.estimation.dynamics_effects import (
    DRAWS_IN_WORDS,
    Effects,
    normal_draws,
    of_draws,
)
from alliance.estimation.dynamics_layout import VarSpec, layout_of
from alliance.estimation.dynamics_series import VarSeries
from alliance.estimation.refusal import Refusal
from alliance.likelihood.continuous_time import (
    TimedData,
    course_information,
    timed_data,
    timed_likelihood,
)
from alliance.likelihood.descent import minimise

FloatArray = NDArray[np.float64]
Clock = Literal["session", "week"]

DAYS_PER_WEEK = 7.0
SAME_DAY = 0.5  # days between two sessions of one day
LEAST_DATED = 0.8  # share of rated sessions with a day
_TOLERANCE = 1e-3  # of the gradient, in standard errors
_NEWTON_STEPS = 6
_LARGEST_LOG = 50.0
_Z = float(stats.norm.ppf(0.975))


@dataclass(frozen=True)
class TimedFit:
    """A fitted process.

    Attributes
    ----------
    clock : unit of time. x, x_cov : parameters in units of fitting and their covariance.
    scale : (k,) pooled within-client SDs. log_likelihood : of the raw scores.
    gradient : largest entry of the gradient, in standard errors.
    median_interval : between rated sessions of a client, in units of the clock.
    """

    series: VarSeries
    clock: Clock
    problem: TimedProblem
    x: FloatArray
    x_cov: FloatArray
    scale: FloatArray
    log_likelihood: float
    gradient: float
    positive: bool
    median_interval: float

    @property
    def aic(self) -> float:
        return 2.0 * self.x.size - 2.0 * self.log_likelihood

    @property
    def converged(self) -> bool:
        return self.gradient < _TOLERANCE and self.positive

    @property
    def drift(self) -> FloatArray:
        """(k, k) rates per unit of the clock, raw units."""
        return self.raw(self.problem.unpack(self.x)[1])

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the fit must not be used, with advice."""
        found = []
        if not self.converged:
            found.append(
                f"the fit did not converge (gradient {self.gradient:.1e} standard errors). Use the "
                "model by session number"
            )
        if float(np.linalg.eigvals(self.drift).real.max()) >= 0.0:
            found.append(
                "the estimated process is not stationary: deviations grow with time. Use the "
                "random-intercept VAR with random trends"
            )
        return tuple(found)

    def raw(self, matrix: FloatArray) -> FloatArray:
        """(..., k, k) from units of fitting to raw units."""
        return matrix * (self.scale[:, None] / self.scale[None, :])

    def effects(self, function: Callable[[FloatArray], FloatArray]) -> Effects:
        """Delta-method intervals of a function of the drift in units of fitting."""
        where = self.problem.slices[1]
        estimate = self.raw(function(self.problem.unpack(self.x)[1]))
        slopes = []
        for j in range(where.start, where.stop):
            size = 0.01 * np.sqrt(self.x_cov[j, j])
            ends = []
            for step in (size, -size):
                moved = self.x.copy()
                moved[j] += step
                ends.append(self.raw(function(self.problem.unpack(moved)[1])))
            slopes.append((ends[0] - ends[1]).ravel() / (2.0 * size))
        slope = np.array(slopes)
        variance = np.einsum("ja,jk,ka->a", slope, self.x_cov[where, where], slope)
        se = np.sqrt(np.maximum(variance, 0.0)).reshape(estimate.shape)
        return Effects(estimate, se, estimate - _Z * se, estimate + _Z * se, "95% Wald")

    def discrete_effects(self, intervals: FloatArray, seed: int = 0) -> Effects:
        """(intervals, k, k) effect of the column series on the row series after each interval.

        Percentile intervals of normal draws of the drift (:func:`dynamics_effects.of_draws`), for
        the reason of :func:`dynamics_effects.impulse_responses`.
        """
        where, k = self.problem.slices[1], self.series.n_series
        drawn = normal_draws(self.x[where], self.x_cov[where, where], seed).reshape(-1, k, k)
        estimate = self.raw(decay(self.problem.unpack(self.x)[1], intervals))
        with np.errstate(over="ignore", invalid="ignore"):  # a fit that failed may know nothing
            curves = self.raw(decay(drawn, intervals))
        return of_draws(estimate, curves, DRAWS_IN_WORDS)


def decay(drift: FloatArray, intervals: FloatArray) -> FloatArray:
    """(..., intervals, k, k) matrix exponentials of (..., k, k) drifts times each interval.

    Scaling and squaring of the Taylor series, all matrices at once: for matrices of norm one half,
    twelve terms leave an error below 1e-13.
    """
    exponent = drift[..., None, :, :] * intervals[:, None, None]
    largest = float(np.abs(exponent).sum(axis=-1).max())
    halvings = max(0, int(np.ceil(np.log2(max(largest, 1e-300)))) + 1)
    scaled = exponent / 2.0**halvings
    total = np.broadcast_to(np.eye(drift.shape[-1]), scaled.shape)
    for order in range(12, 0, -1):
        total = np.eye(drift.shape[-1]) + scaled @ total / order
    for _ in range(halvings):
        total = total @ total
    return np.asarray(total)


@dataclass(frozen=True)
class TimedProblem:
    """The likelihood as a function of one vector: course, drift, factors (logs of the diagonals of
    what is new and of the first observation, plain factor of the levels)."""

    data: TimedData
    n_course: int

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        k = self.data.n_series
        triangle = k * (k + 1) // 2
        ends = np.cumsum([self.n_course * k, k * k, triangle, triangle, triangle])
        return tuple(
            slice(int(start), int(end))
            for start, end in zip(np.concatenate([[0], ends[:-1]]), ends, strict=True)
        )

    @cached_property
    def logs(self) -> NDArray[np.bool_]:
        rows, columns = np.tril_indices(self.data.n_series)
        found = np.zeros(self.slices[-1].stop, dtype=bool)
        for part in self.slices[2:4]:
            found[part] = rows == columns
        return found

    def unpack(self, x: FloatArray) -> tuple[FloatArray, ...]:
        """Course (m, k), drift (k, k) and the three factors."""
        k, values = self.data.n_series, x.copy()
        values[self.logs] = np.exp(np.minimum(x[self.logs], _LARGEST_LOG))
        factors = [np.zeros((k, k)) for _ in range(3)]
        for factor, part in zip(factors, self.slices[2:], strict=True):
            factor[np.tril_indices(k)] = values[part]
        course, drift = (values[part].reshape(-1, k) for part in self.slices[:2])
        return course, drift, *factors

    def pack(self, course: FloatArray, drift: FloatArray, *factors: FloatArray) -> FloatArray:
        """The vector; the inverse of :meth:`unpack`."""
        cells = [factor[np.tril_indices(self.data.n_series)] for factor in factors]
        x = np.concatenate([course.ravel(), drift.ravel(), *cells])
        x[self.logs] = np.log(x[self.logs])
        return x

    def objective(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Minus log-likelihood and its gradient."""
        with np.errstate(all="ignore"):
            found = timed_likelihood(*self.unpack(x), self.data)
        if not np.isfinite(found.value):
            return np.inf, np.zeros_like(x)
        cells = np.tril_indices(self.data.n_series)
        factors = (found.by_diffusion, found.by_first, found.by_client)
        parts = [found.by_course.ravel(), found.by_drift.ravel(), *(f[cells] for f in factors)]
        gradient = np.concatenate(parts)
        gradient[self.logs] *= np.exp(x[self.logs])
        return -found.value, -gradient

    def information(self, x: FloatArray) -> FloatArray:
        """Minus second derivatives: exact for the course, differences of the gradient for the
        rest."""
        m = self.slices[0].stop
        out = np.zeros((x.size, x.size))
        out[:m, :m] = course_information(*self.unpack(x)[1:], self.data)[0]
        for j in range(m, x.size):
            step = np.zeros_like(x)
            step[j] = 1e-4
            out[:, j] = (self.objective(x + step)[1] - self.objective(x - step)[1]) / 2e-4
        out[m:, :m] = out[:m, m:].T
        out[m:, m:] = 0.5 * (out[m:, m:] + out[m:, m:].T)
        return out


def fit_timed(
    series: VarSeries, spec: VarSpec, clock: Clock, *, dated_only: bool = False
) -> TimedFit | Refusal:
    """Maximum likelihood of a random-intercept process in continuous time.

    Parameters
    ----------
    spec : gives the course over sessions; clients' trends and measurement error are not modelled.
    dated_only : use only sessions whose day is known, so that the fit can be compared with that by
        weeks (which always does).
    """
    used = _dated(series) if dated_only or clock == "week" else series
    if isinstance(used, Refusal):
        return used
    together = VarSpec((0,) * series.n_series, spec.trend, free_sessions=spec.free_sessions)
    start = fit_var(used, together)
    if isinstance(start, Refusal):
        return start
    course = layout_of(used, together).course
    data, median = _arranged(used, start.scale, course, clock)
    problem = TimedProblem(data, course.shape[1])
    return _fitted(problem, used, clock, start, median)


def _dated(series: VarSeries) -> VarSeries | Refusal:
    """The series without sessions whose day is unknown or lies before that of an earlier one."""
    rated = series.seen.any(axis=2)
    advice = "Name the column with the dates of sessions in the study file, or use session numbers."
    if series.days is None:
        return Refusal("the days of sessions are not known", advice)
    days = np.where(rated, series.days, np.nan)
    before = np.fmax.accumulate(np.where(np.isnan(days), -np.inf, days), axis=1)
    usable = rated & (days >= before)
    share = float(usable.sum() / rated.sum())
    if share < LEAST_DATED:
        return Refusal(f"only {100 * share:.0f}% of rated sessions have a usable day", advice)
    scores = np.where(usable[:, :, None], series.scores, np.nan)
    kept = np.flatnonzero(usable.any(axis=1))
    shown = VarSeries(
        scores, series.names, series.client_ids, series.first_session, series.cluster,
        days=np.where(usable, days, np.nan),
    )  # fmt: skip
    return shown.take(kept)


def _arranged(
    series: VarSeries, scale: FloatArray, course: FloatArray, clock: Clock
) -> tuple[TimedData, float]:
    """Scores, times and course of each client, and the median interval."""
    working = series.scores / scale
    rated = series.seen.any(axis=2)
    T = series.n_sessions
    if clock == "session":
        gaps = np.concatenate([np.diff(np.flatnonzero(row)) for row in rated])
        times = [np.arange(T, dtype=np.float64)] * len(working)
        data = timed_data(list(working), times, [course] * len(working))
        return data, float(np.median(gaps))
    assert series.days is not None
    scores, times, courses = [], [], []
    for z, seen, days in zip(working, rated, series.days, strict=True):
        scores.append(z[seen])
        times.append(_apart(days[seen]) / DAYS_PER_WEEK)
        courses.append(course[seen])
    gaps = np.concatenate([np.diff(time) for time in times])
    return timed_data(scores, times, courses), float(np.median(gaps))


def _apart(days: FloatArray) -> FloatArray:
    """Days with half a day between sessions of one day."""
    out = days - days[0]
    for t in range(1, out.size):
        out[t] = max(out[t], out[t - 1] + SAME_DAY)
    return out


def _fitted(
    problem: TimedProblem, series: VarSeries, clock: Clock, start: VarFit, median: float
) -> TimedFit:
    x = _start(problem, start, median)
    m = problem.slices[0].stop
    inverse = np.eye(x.size) / series.n_clients
    inverse[:m, :m] = np.linalg.inv(course_information(*problem.unpack(x)[1:], problem.data)[0])
    lower = np.full(x.size, -np.inf)
    x, _ = minimise(problem.objective, x, lower, 1e-7, 300, inverse)
    x, cov, size, positive = _polished(problem, x)
    loss, _ = problem.objective(x)
    raw = -loss - float(series.seen.sum(axis=(0, 1)) @ np.log(start.scale))
    return TimedFit(series, clock, problem, x, cov, start.scale, raw, size, positive, median)


def _polished(problem: TimedProblem, x: FloatArray) -> tuple[FloatArray, FloatArray, float, bool]:
    """A few Newton steps; the covariance, the gradient in standard errors, and its verdict."""
    information = problem.information(x)
    scale = np.sqrt(np.maximum(np.diag(information), 1e-12))
    values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    positive = bool(values.min() > -1e-4)
    kept = values > 1e-8
    half = (vectors[:, kept] / np.sqrt(values[kept])) / scale[:, None]
    gradient = problem.objective(x)[1]
    for _ in range(_NEWTON_STEPS):
        moved = x - half @ (half.T @ gradient)
        slope = problem.objective(moved)[1]
        if not slope.any() or not np.abs(half.T @ slope).max() < np.abs(half.T @ gradient).max():
            break
        x, gradient = moved, slope
    return x, half @ half.T, float(np.abs(half.T @ gradient).max()), positive


def _start(problem: TimedProblem, fit: VarFit, median: float) -> FloatArray:
    """The discrete fit at the median interval: its matrix logarithm where it has a real one."""
    course, k = fit.x[: fit.layout.n_mean].reshape(-1, fit.series.n_series), fit.series.n_series
    A = fit.parts[1][0]
    eigenvalues = np.linalg.eigvals(A)
    if np.isreal(eigenvalues).all() and (eigenvalues.real > 0.02).all():
        drift = np.real(linalg.logm(A))
    else:
        drift = -np.eye(k)
    if np.linalg.eigvals(drift).real.max() > -0.05:
        drift = -np.eye(k)
    drift = drift / median
    within = fit.parts[3] @ fit.parts[3].T
    new = -(drift @ within + within @ drift.T)
    values, vectors = np.linalg.eigh(0.5 * (new + new.T))
    diffusion = np.linalg.cholesky((vectors * np.maximum(values, 0.05)) @ vectors.T)
    return problem.pack(course, drift, diffusion, fit.parts[3], fit.parts[4])
