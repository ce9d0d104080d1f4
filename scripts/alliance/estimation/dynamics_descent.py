"""The way to the maximum of the likelihood of a dynamic model, and its curvature there.

The descent runs in coordinates in which the expected information is the identity; a few Newton
steps with the observed information end it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alliance.estimation.dynamics_layout import VarLayout
from alliance.likelihood.descent import Criterion, minimise
from alliance.likelihood.random_intercept_var import (
    covariance,
    log_likelihood_and_gradient,
    mean_information,
)
from alliance.likelihood.var_data import VarData, pack

FloatArray = NDArray[np.float64]

CLIENTS_FOR_STARTS = 500
NEAR = 1e-2  # of the gradient, in standard errors
_TOLERANCE = 1e-4  # of the gradient, in standard errors
_FLAT = 1e-5  # curvature relative to the expected information
_STEP = 1e-3  # of differences, in standard errors
_GUESSES = ((0.3, 1.0), (0.0, 1.0), (0.6, 0.5), (0.8, 0.1), (-0.2, 1.0))
_NEWTON_STEPS = 10
_NEWTON_ROUNDS = 6
_LEAST_INFORMATION = 1e-2  # per client: a variance of zero has no expected information


def objective(x: FloatArray, layout: VarLayout, data: VarData) -> tuple[float, FloatArray]:
    """Minus log-likelihood and its gradient."""
    value, *parts = log_likelihood_and_gradient(
        *layout.unpack(x), *layout.structure.arrays(), *data.arrays()
    )
    if not np.isfinite(value):
        return np.inf, np.zeros_like(x)
    return -value, -layout.gradient(x, parts)


def descend(x: FloatArray, layout: VarLayout, data: VarData) -> tuple[FloatArray, float]:
    """Descent in coordinates that make the expected information the identity, renewed twice."""
    value = np.inf
    for n_steps in (15, 30, 200):
        root = whitening(x, layout, data)
        whitened = _in_coordinates(x, root, layout, data)
        y, value = minimise(whitened, np.zeros(x.size), np.full(x.size, -np.inf), 1e-9, n_steps)
        x = x + root @ y
        if np.abs(whitened(y)[1]).max() < 0.1 * _TOLERANCE:
            break
    return x, value


def _in_coordinates(
    origin: FloatArray, root: FloatArray, layout: VarLayout, data: VarData
) -> Criterion:
    """The objective as a function of y where x = origin + root y."""

    def whitened(y: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = objective(origin + root @ y, layout, data)
        return value, root.T @ gradient

    return whitened


def expected_information(x: FloatArray, layout: VarLayout, data: VarData) -> FloatArray:
    """Expected information: exact for means; for the rest as if nothing were missing before a
    client's last session (it only guides the descent)."""
    V, roots = _derivatives(x, layout)
    k, m = layout.structure.n_series, layout.course.shape[1]
    columns = np.kron(layout.course, np.eye(k))
    information = np.zeros((x.size, x.size))
    information[: m * k, : m * k] = columns.T @ mean_information(V, data)[0] @ columns
    reached = np.array([data.n_clients[data.length > t].sum() for t in range(data.n_sessions)])
    cells = np.repeat(reached, k)
    later = np.minimum(cells[:, None], cells[None, :])
    flat = roots.reshape(len(roots), -1)
    information[m * k :, m * k :] = 0.5 * (flat * later.ravel()) @ flat.T
    return information


def _derivatives(x: FloatArray, layout: VarLayout) -> tuple[FloatArray, FloatArray]:
    """V and its derivatives, each multiplied by the inverse root of V from both sides."""
    V = _covariance(x, layout)
    whiten = np.linalg.inv(np.linalg.cholesky(V))
    slopes = []
    for j in range(layout.n_mean, x.size):
        step = np.zeros_like(x)
        step[j] = 1e-5
        slopes.append((_covariance(x + step, layout) - _covariance(x - step, layout)) / 2e-5)
    return V, whiten @ np.array(slopes) @ whiten.T


def _covariance(x: FloatArray, layout: VarLayout) -> FloatArray:
    return covariance(*layout.unpack(x)[1:], *layout.structure.arrays())[0]


def whitening(x: FloatArray, layout: VarLayout, data: VarData) -> FloatArray:
    """R with ``R R'`` the inverse of the expected information, flat directions held short."""
    information = expected_information(x, layout, data)
    floor = _LEAST_INFORMATION * float(data.n_clients.sum())
    size = np.sqrt(np.maximum(np.diag(information), floor))
    values, vectors = np.linalg.eigh(information / np.outer(size, size))
    return (vectors / np.sqrt(np.maximum(values, 1e-4))) / size[:, None]


# Starts


def best_start(working: FloatArray, layout: VarLayout, similar: FloatArray | None) -> FloatArray:
    """The best of several descents; with many clients they are tried on some of them."""
    step = max(1, len(working) // CLIENTS_FOR_STARTS)
    data = pack(working[::step])
    starts = [_start(working, layout, data, *guess) for guess in _GUESSES]
    starts += [] if similar is None else [similar]
    possible = [x for x in starts if np.isfinite(objective(x, layout, data)[0])]
    found = [descend(x, layout, data) for x in possible]
    return min(found, key=lambda pair: pair[1])[0]


def _start(
    working: FloatArray, layout: VarLayout, data: VarData, autoregression: float, share: float
) -> FloatArray:
    """Moments: within and between covariances, the same autoregression for all, no cross-lags."""
    k, q = layout.structure.n_series, layout.structure.n_effects
    within, between = _moments(working)
    error = np.diag(layout.structure.error)
    within = _positive(within - error, 0.05)
    client = np.eye(q) * (0.05**2)
    client[:k, :k] = _positive(share * between, 0.05)
    coefficients = np.zeros((layout.structure.n_phases, k, k))
    coefficients[:] = autoregression * np.eye(k) * layout.free
    structural = (1.0 - autoregression**2) * within * layout.structure.correlated
    factors = [np.linalg.cholesky(matrix) for matrix in (structural, within, client)]
    x = layout.pack(np.zeros((layout.course.shape[1], k)), coefficients, *factors)
    information, score = mean_information(_covariance(x, layout), data)
    columns = np.kron(layout.course, np.eye(k))
    system = columns.T @ information @ columns
    x[: layout.n_mean] = np.linalg.lstsq(system, columns.T @ score, rcond=None)[0]
    return x


def _moments(working: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Pooled within-client covariance and covariance of true client means, pairwise complete."""
    counts = (~np.isnan(working)).sum(axis=1)
    means = np.nansum(working, axis=1) / np.where(counts > 0, counts, np.nan)
    deviations = (working - means[:, None, :]).reshape(-1, working.shape[2])
    complete = deviations[~np.isnan(deviations).any(axis=1)]
    n_clients = max(int((counts.min(axis=1) > 0).sum()), 2)
    within = complete.T @ complete / max(len(complete) - n_clients, 1)
    known = means[~np.isnan(means).any(axis=1)]
    typical = max(float(np.median(counts)), 1.0)
    return within, np.atleast_2d(np.cov(known.T)) - within / typical


def _positive(matrix: FloatArray, floor: float) -> FloatArray:
    """The matrix with eigenvalues of at least ``floor``."""
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    return (vectors * np.maximum(values, floor)) @ vectors.T


# Curvature


@dataclass(frozen=True)
class Judgement:
    """The end of the descent after a few Newton steps, and what its curvature says."""

    x: FloatArray
    value: float
    cov: FloatArray
    converged: bool
    gradient: float
    eigenvalue: float

    @classmethod
    def of(cls, x: FloatArray, layout: VarLayout, data: VarData) -> Judgement:
        curvature = _Curvature.at(x, layout, data)
        for _ in range(_NEWTON_ROUNDS):
            before = curvature.size(objective(x, layout, data)[1])
            x = _chord_steps(x, curvature, layout, data)
            after = curvature.size(objective(x, layout, data)[1])
            if after < _TOLERANCE and before < NEAR and curvature.values.min() > -_FLAT:
                break
            x = _damped_step(x, curvature, layout, data)
            curvature = _Curvature.at(x, layout, data)
        loss, gradient = objective(x, layout, data)
        size, lowest = curvature.size(gradient), float(curvature.values.min())
        flat = int((~curvature.kept).sum()) - _flat_by_boundary(x, layout)
        converged = size < _TOLERANCE and lowest > -_FLAT and flat <= 0
        return cls(x, -loss, curvature.half @ curvature.half.T, converged, size, lowest)


@dataclass(frozen=True)
class _Curvature:
    """Eigenvalues and vectors of the observed information, relative to the expected one."""

    root: FloatArray
    values: FloatArray
    vectors: FloatArray

    @classmethod
    def at(cls, x: FloatArray, layout: VarLayout, data: VarData) -> _Curvature:
        root = whitening(x, layout, data)
        relative = root.T @ observed_information(x, layout, data, root) @ root
        return cls(root, *np.linalg.eigh(0.5 * (relative + relative.T)))

    @property
    def kept(self) -> NDArray[np.bool_]:
        return self.values > _FLAT

    @property
    def half(self) -> FloatArray:
        """H with ``H H'`` the inverse of the observed information, flat directions left out."""
        return (self.root @ self.vectors[:, self.kept]) / np.sqrt(self.values[self.kept])

    def size(self, gradient: FloatArray) -> float:
        """Largest entry of the gradient, in standard errors."""
        return float(np.abs(self.half.T @ gradient).max())


def _chord_steps(
    x: FloatArray, curvature: _Curvature, layout: VarLayout, data: VarData
) -> FloatArray:
    """Newton steps with one curvature, as long as the gradient shrinks."""
    half = curvature.half
    gradient = objective(x, layout, data)[1]
    for _ in range(_NEWTON_STEPS):
        moved = x - half @ (half.T @ gradient)
        slope = objective(moved, layout, data)[1]
        if not curvature.size(slope) < curvature.size(gradient) or not slope.any():
            break
        x, gradient = moved, slope
    return x


def _damped_step(
    x: FloatArray, curvature: _Curvature, layout: VarLayout, data: VarData
) -> FloatArray:
    """A step that lowers the criterion whatever the signs of the curvature."""
    loss, gradient = objective(x, layout, data)
    along = curvature.vectors.T @ (curvature.root.T @ gradient)
    step = -along / np.maximum(np.abs(curvature.values), 1e-3)
    if curvature.values[0] < -_FLAT:  # leave a saddle
        step[0] += -1.0 if along[0] > 0 else 1.0
    direction = curvature.root @ (curvature.vectors @ step)
    for length in 0.5 ** np.arange(20):
        if objective(x + length * direction, layout, data)[0] < loss:
            return x + length * direction
    return x


def _flat_by_boundary(x: FloatArray, layout: VarLayout) -> int:
    """Directions that are flat because a client effect has no variance."""
    factor = layout.unpack(x)[4]
    zero = np.abs(np.diag(factor)) < 1e-3
    return int(sum(len(factor) - j for j in np.flatnonzero(zero)))


def observed_information(
    x: FloatArray, layout: VarLayout, data: VarData, root: FloatArray | None = None
) -> FloatArray:
    """Minus second derivatives of the log-likelihood.

    Those by the means are exact; the others are central differences of the gradient, with steps of
    a thousandth of a standard error.
    """
    m = layout.n_mean
    columns = np.kron(layout.course, np.eye(layout.structure.n_series))
    information = np.zeros((x.size, x.size))
    means = mean_information(_covariance(x, layout), data)[0]
    information[:m, :m] = columns.T @ means @ columns
    root = whitening(x, layout, data) if root is None else root
    steps = _STEP * np.sqrt((root**2).sum(axis=1))
    for j in range(m, x.size):
        step = np.zeros_like(x)
        step[j] = steps[j]
        ahead, behind = (objective(x + s, layout, data)[1] for s in (step, -step))
        information[:, j] = (ahead - behind) / (2.0 * steps[j])
    information[m:, :m] = information[:m, m:].T
    lower = information[m:, m:]
    information[m:, m:] = 0.5 * (lower + lower.T)
    return information
