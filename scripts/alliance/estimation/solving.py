"""Minimising the criterion of a multilevel model: starts, descent, boundary, polish, verdict.

Convergence is judged by the gradient and the Hessian at the solution, not by the optimiser's word.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, qr

from alliance.likelihood.descent import minimise
from alliance.likelihood.profiled import Evaluation, prepare
from alliance.likelihood.residuals import Model, StructuredModel, criterion_at
from alliance.likelihood.statistics import NestedStatistics, take_groups

FloatArray = NDArray[np.float64]

SINGULAR = 1e-4  # relative Cholesky diagonal below which lme4 calls a fit singular
_DECREMENT = 1e-7  # deviance still to be gained by a Newton step at a converged fit
_PILOT_THERAPISTS = 12  # at least, in the part of the clients that the pilot fits
_PILOT_GAIN = 1e-2  # deviance; a fraction of what chance moves the optimum of a part
_PILOT_CLIENTS = (200, 1000)  # a tenth of the clients, within these limits
_ESCAPES = 3  # from zeros that are not optima
_ESCAPE_SIZES = 0.05 * 0.2 ** np.arange(7)  # added variances, relative to the residual's
_NO_RESIDUAL = 1e-10  # residual variance relative to the outcome's


@dataclass(frozen=True)
class Curvature:
    """Second-order facts at theta, in scaled units, with sigma as a parameter of its own.

    Attributes
    ----------
    hessian : (k + 1, k + 1) of the deviance in (theta, sigma).
    vcov_slopes : (k + 1, p, p) derivative of the covariance matrix of beta.
    """

    hessian: FloatArray
    vcov_slopes: FloatArray

    def profiled(self) -> FloatArray:
        """Hessian in theta after profiling sigma out."""
        H = self.hessian
        return H[:-1, :-1] - np.outer(H[:-1, -1], H[-1, :-1]) / H[-1, -1]


@dataclass(frozen=True)
class Solution:
    """Where the criterion is smallest, in scaled units."""

    theta: FloatArray
    at: Evaluation
    curvature: Curvature
    converged: bool
    message: str


def residual_sd(at: Evaluation, model: Model, reml: bool) -> float:
    return float(np.sqrt(at.rss / (model.n_rows - (model.n_fixed if reml else 0))))


def solve(
    model: Model,
    reml: bool,
    n_starts: int = 3,
    pilot: Pilot | None = None,
    known: FloatArray | None = None,
) -> Solution:
    """Minimise the criterion from several starts, polish by Newton steps, judge the result.

    Parameters
    ----------
    pilot : the only start. known : random effects of the same model with independent residuals,
        the first of the starts of a :class:`StructuredModel`.
    """
    if pilot is not None:
        at = descend(model, pilot.theta, reml, pilot.inverse)
        return _judge(model, *_polish(model, *at, reml), reml)
    starts = _starts(model)
    if isinstance(model, StructuredModel):
        starts = _structured_starts(model, starts, known)
    values = [criterion_at(model, start, reml).deviance for start in starts]
    found = [descend(model, starts[index], reml) for index in np.argsort(values)[:n_starts]]
    best = min(found, key=lambda entry: entry[1].deviance)
    return _judge(model, *_polish(model, *best, reml), reml)


@dataclass(frozen=True)
class Pilot:
    """Where to start a large study: the optimum of a part of it, and the inverse Hessian there."""

    theta: FloatArray
    inverse: FloatArray | None


def pilot_fit(statistics: NestedStatistics, reml: bool) -> Pilot | None:
    """Fit every n-th client (or all clients of every n-th therapist); None if that fails."""
    size = np.clip(statistics.n_clients // 10, *_PILOT_CLIENTS)
    step = statistics.n_clients // int(size)
    if statistics.n_therapists:
        step = max(min(step, statistics.n_therapists // _PILOT_THERAPISTS), 1)
    codes = statistics.therapist if statistics.n_therapists else np.arange(statistics.n_clients)
    clients = np.flatnonzero(codes % step == 0)
    part = prepare(take_groups(statistics, clients, np.zeros(len(clients), dtype=np.int64)))
    start = _starts(part)[0]
    try:
        inverse = _inverse_curvature(part, start, reml)
        theta, _ = descend(part, start, reml, inverse, gain=_PILOT_GAIN)
        inside = np.where(part.diagonal(), np.maximum(theta, 0.05), theta)
        inverse = _inverse_curvature(part, inside, reml)
    except LinAlgError:
        return None
    share = len(clients) / statistics.n_clients
    return Pilot(inside, None if inverse is None else share * inverse)


def _inverse_curvature(model: Model, start: FloatArray, reml: bool) -> FloatArray | None:
    """Inverse Hessian at a start, so that the first step has the right length; None far off."""
    hessian = _curvature(model, start, criterion_at(model, start, reml), reml).profiled()
    values, vectors = np.linalg.eigh(hessian)
    if values[0] <= 1e-3 * values[-1]:
        return None
    return (vectors / values) @ vectors.T


def solve_from(model: Model, theta: FloatArray, reml: bool) -> tuple[FloatArray, Evaluation]:
    """Minimise from one start, without second-order facts; for resampling."""
    return descend(model, theta, reml)


def _starts(model: Model) -> list[FloatArray]:
    """Moderate, small and large random effects, in units of the residual SD."""
    q, r = model.client_columns.size, model.therapist_columns.size
    sizes = [(1.0, 0.3, 0.3), (0.4, 0.1, 0.1), (2.0, 1.0, 0.6)]
    starts = []
    for level, slope, therapist in sizes:
        inner = np.diag([level, *[slope] * (q - 1)])[np.tril_indices(q)]
        outer = np.diag([therapist, *[0.3 * therapist] * (r - 1)] if r else [])
        starts.append(np.concatenate([inner, outer[np.tril_indices(r)]]))
    return starts


def _structured_starts(
    model: StructuredModel, starts: list[FloatArray], known: FloatArray | None
) -> list[FloatArray]:
    """Random effects as in the simpler model or smaller, residuals independent or not."""
    random = [*starts] if known is None else [known, 0.7 * known, *starts]
    phi = np.zeros(model.source.n_extra)
    residuals = [phi]
    if model.source.serial:
        residuals += [np.append(z, phi[1:]) for z in (0.3, 0.8, -0.3)]
    return [np.append(a, b) for b in residuals for a in random]


def descend(
    model: Model,
    start: FloatArray,
    reml: bool,
    inverse: FloatArray | None = None,
    gain: float = 1e-8,
) -> tuple[FloatArray, Evaluation]:
    """Quasi-Newton descent; escapes from zeros that are not optima (at most three times)."""
    lower = np.where(model.diagonal(), 0.0, -np.inf)
    seen: dict[bytes, Evaluation] = {}

    def criterion(theta: FloatArray) -> tuple[float, FloatArray]:
        at = seen[theta.tobytes()] = criterion_at(model, theta, reml)
        if at.rss < _NO_RESIDUAL * model.n_rows:
            raise LinAlgError("no residual variance is left")
        return at.deviance, at.gradient

    theta = start
    for _ in range(_ESCAPES + 1):
        theta, _ = minimise(criterion, theta, lower, gain, inverse=inverse)
        found, at, inverse = theta, seen[theta.tobytes()], None
        escape = _escape(model, theta, at, reml)
        if escape is None:
            break
        theta = escape
    return found, at


def _escape(model: Model, theta: FloatArray, at: Evaluation, reml: bool) -> FloatArray | None:
    """A start off the boundary where the deviance is lower than at theta, else None.

    At a singular covariance matrix the derivative with respect to theta vanishes, optimum or not;
    the derivative with respect to the matrix, on its null space, tells. The step is shortened until
    the deviance is lower: a descent from there never comes back, as one from further off may.
    """
    factors = model.factors(theta)
    derivatives = (at.client_gradient, at.therapist_gradient)
    directions = [_downhill(f, d) for f, d in zip(factors, derivatives, strict=True)]
    if all(direction is None for direction in directions):
        return None
    for size in _ESCAPE_SIZES:
        packed = []
        for factor, direction in zip(factors, directions, strict=True):
            matrix = factor @ factor.T
            if direction is not None:
                matrix = matrix + size * np.outer(direction, direction)
            packed.append(semidefinite_factor(matrix)[np.tril_indices(len(factor))])
        trial = _with_residuals(packed, theta)
        if criterion_at(model, trial, reml).deviance < at.deviance:
            return trial
    return None


def _downhill(factor: FloatArray, derivative: FloatArray) -> FloatArray | None:
    if not factor.size:
        return None
    values, vectors = np.linalg.eigh(factor @ factor.T)
    null = vectors[:, values < SINGULAR**2]
    if not null.size:
        return None
    slopes, directions = np.linalg.eigh(null.T @ derivative @ null)
    return null @ directions[:, 0] if slopes[0] < -1e-4 else None


def semidefinite_factor(matrix: FloatArray) -> FloatArray:
    """Lower triangular L with L L' = matrix, also for singular matrices."""
    if not matrix.size:
        return matrix
    values, vectors = np.linalg.eigh(matrix)
    upper = qr((vectors * np.sqrt(np.maximum(values, 0))).T, mode="r")[0]
    signs = np.where(np.diag(upper) < 0, -1.0, 1.0)
    return (upper * signs[:, None]).T


def _polish(
    model: Model, theta: FloatArray, at: Evaluation, reml: bool
) -> tuple[FloatArray, Evaluation, Curvature, float]:
    """Newton steps until the deviance has nothing left to gain; returns that gain as well."""
    theta, at = _snap(model, theta, at, reml)
    for _ in range(8):
        curvature = _curvature(model, theta, at, reml)
        step, gain = _newton_step(curvature.profiled(), at.gradient)
        if gain < _DECREMENT:
            break
        for shrink in (1.0, 0.5, 0.1, 0.01):
            trial = theta + shrink * step
            after = criterion_at(model, trial, reml)
            if after.deviance < at.deviance:
                theta = _non_negative(model, trial)
                same = np.array_equal(theta, trial)
                at = after if same else criterion_at(model, theta, reml)
                break
        else:
            break
    return theta, at, curvature, gain


def _newton_step(hessian: FloatArray, gradient: FloatArray) -> tuple[FloatArray, float]:
    """Newton step and the fall of the deviance it promises; flat directions are left alone."""
    values, vectors = np.linalg.eigh(hessian)
    slopes = vectors.T @ gradient
    useful = np.abs(values) > 1e-6 * max(float(np.abs(values).max()), 1e-12)
    scaled = np.where(useful, slopes / np.where(useful, np.abs(values), 1.0), 0.0)
    return -vectors @ scaled, float(0.5 * np.sum(scaled * slopes))


def _snap(
    model: Model, theta: FloatArray, at: Evaluation, reml: bool
) -> tuple[FloatArray, Evaluation]:
    """Put diagonal elements that are all but zero on the boundary, if nothing is lost."""
    small = model.diagonal() & (np.abs(theta) < 3e-3) & (theta != 0)
    if not small.any():
        return theta, at
    snapped = np.where(small, 0.0, theta)
    there = criterion_at(model, snapped, reml)
    return (snapped, there) if there.deviance < at.deviance + 1e-8 else (theta, at)


def _non_negative(model: Model, theta: FloatArray) -> FloatArray:
    """The same covariance matrices by factors with a non-negative diagonal."""
    signed = [f * np.where(np.diag(f) < 0, -1.0, 1.0) for f in model.factors(theta)]
    return _with_residuals([f[np.tril_indices(len(f))] for f in signed], theta)


def _with_residuals(packed: list[FloatArray], theta: FloatArray) -> FloatArray:
    """New factors of the random effects, the parameters of the residuals as they were."""
    return np.concatenate([*packed, theta[sum(map(len, packed)) :]])


def _curvature(model: Model, theta: FloatArray, at: Evaluation, reml: bool) -> Curvature:
    """Hessian in (theta, sigma) by differences of the analytic gradient.

    At the profiled sigma the gradient in theta is the same whether sigma is profiled or fixed.
    """
    k, p = model.n_theta, model.n_fixed
    sigma = residual_sd(at, model, reml)
    inverse = np.linalg.inv(at.information)
    hessian = np.empty((k + 1, k + 1))
    slopes = np.empty((k + 1, p, p))
    rss_slope = np.empty(k)
    for a in range(k):
        h = 1e-5 * max(abs(theta[a]), 0.1)
        up = criterion_at(model, theta + h * np.eye(k)[a], reml, sigma)
        hessian[a, :k] = (up.gradient - at.gradient) / h
        rss_slope[a] = (up.rss - at.rss) / h
        slopes[a] = sigma**2 * (np.linalg.inv(up.information) - inverse) / h
    hessian[:k, :k] = (hessian[:k, :k] + hessian[:k, :k].T) / 2
    hessian[k, :k] = hessian[:k, k] = -2 * rss_slope / sigma**3
    hessian[k, k] = 4 * at.rss / sigma**4
    slopes[k] = 2 * sigma * inverse
    return Curvature(hessian, slopes)


def _judge(
    model: Model,
    theta: FloatArray,
    at: Evaluation,
    curvature: Curvature,
    gain: float,
    reml: bool,
) -> Solution:
    values = np.linalg.eigvalsh(curvature.profiled())
    problems = []
    if gain >= 1e-5:
        problems.append(f"the deviance could still fall by about {gain:.2g}")
    if values[0] < -1e-3 * max(values[-1], 1.0):
        problems.append("the solution is a saddle point, not a minimum")
    if _escape(model, theta, at, reml) is not None:
        problems.append("a variance was held at zero although a larger one fits better")
    message = "; ".join(problems) or "gradient and Hessian are those of a minimum"
    return Solution(theta, at, curvature, not problems, message)
