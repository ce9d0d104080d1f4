"""Small regressions, fast enough to be repeated in thousands of null data sets.

Least squares with robust errors (HC3: MacKinnon & White 1985; by cluster: Liang & Zeger 1986 with
the usual small-sample factor), the same within clients (fixed effects), and the discrete-time
hazard with complementary log-log link (Prentice & Gloeckler 1978). Checked against statsmodels in
the tests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
_STEPS = 30
_CONVERGED = 1e-9
_LARGEST_LINEAR = 20.0


@dataclass(frozen=True)
class Regression:
    """Coefficients (p,) and their covariance (p, p); ``df`` of t tests."""

    coefficients: FloatArray
    covariance: FloatArray
    df: float

    def contrast(self, weights: FloatArray) -> tuple[float, float]:
        """Estimate and standard error of a weighted sum of coefficients."""
        variance = float(weights @ self.covariance @ weights)
        return float(weights @ self.coefficients), float(np.sqrt(max(variance, 0.0)))


def least_squares(
    design: FloatArray, outcome: FloatArray, clusters: IntArray | None = None
) -> Regression | None:
    """OLS of ``outcome`` (n,) on ``design`` (n, p); None where its rank is not full.

    Parameters
    ----------
    clusters : (n,) codes from 0; without them the errors are HC3.
    """
    n, p = design.shape
    if n <= p or np.linalg.matrix_rank(design) < p:
        return None
    inverse = np.linalg.inv(design.T @ design)
    beta = inverse @ (design.T @ outcome)
    residual = outcome - design @ beta
    if clusters is None:
        leverage = ((design @ inverse) * design).sum(axis=1)
        scores = design * (residual / np.maximum(1.0 - leverage, 1e-12))[:, None]
        return Regression(beta, inverse @ (scores.T @ scores) @ inverse, n - p)
    sums = _cluster_sums(design * residual[:, None], clusters, int(clusters.max()) + 1)
    groups = int(np.count_nonzero(np.bincount(clusters)))
    factor = groups / (groups - 1) * (n - 1) / (n - p)
    return Regression(beta, factor * inverse @ (sums.T @ sums) @ inverse, groups - 1)


def within_least_squares(
    design: FloatArray, outcome: FloatArray, client: IntArray
) -> Regression | None:
    """OLS with an intercept for each client (fixed effects), errors clustered by client.

    Parameters
    ----------
    client : (n,) codes in ascending order. Clients with one row tell nothing and are left out.

    Returns
    -------
    Regression with ``df`` one less than the clients; None where the rank is not full.
    """
    both = np.column_stack([design, outcome])
    deviations, number = _within(np.ascontiguousarray(both), client)
    kept = number >= 0
    deviations, number = deviations[kept], number[kept]
    x, y = deviations[:, :-1], deviations[:, -1]
    n, p = x.shape
    groups = int(number.max(initial=-1)) + 1
    if groups < 2 or n - groups <= p:
        return None
    cross = x.T @ x
    size = np.sqrt(np.diag(cross))
    if size.min() <= 1e-9 or np.linalg.cond(cross / np.outer(size, size)) > 1e10:
        return None
    inverse = np.linalg.inv(cross)
    beta = inverse @ (x.T @ y)
    sums = _cluster_sums(np.ascontiguousarray(x * (y - x @ beta)[:, None]), number, groups)
    factor = groups / (groups - 1) * (n - 1) / (n - p)
    return Regression(beta, factor * inverse @ (sums.T @ sums) @ inverse, groups - 1)


@numba.njit(cache=True)
def _within(values: np.ndarray, client: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Deviations from the clients' means, and clients renumbered; -1 for clients with one row."""
    n, p = values.shape
    out = np.zeros((n, p))
    number = np.full(n, -1, dtype=np.int64)
    first, found = 0, 0
    while first < n:
        stop = first
        while stop < n and client[stop] == client[first]:
            stop += 1
        if stop - first > 1:
            for j in range(p):
                mean = 0.0
                for i in range(first, stop):
                    mean += values[i, j]
                mean /= stop - first
                for i in range(first, stop):
                    out[i, j] = values[i, j] - mean
            number[first:stop] = found
            found += 1
        first = stop
    return out, number


@numba.njit(cache=True)
def _cluster_sums(values: np.ndarray, number: np.ndarray, groups: int) -> np.ndarray:
    sums = np.zeros((groups, values.shape[1]))
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            sums[number[i], j] += values[i, j]
    return sums


def hazard_regression(
    design: FloatArray, event: FloatArray, start: FloatArray | None = None
) -> Regression | None:
    """Discrete-time hazard with complementary log-log link, maximum likelihood.

    Parameters
    ----------
    design : (rows, p) one row per client and session at risk, with a column of ones.
    event : (rows,) 1.0 at the session after which the client did not come back.
    start : (p,) where to begin; None: at the same hazard for all.

    Returns
    -------
    Regression (log hazard ratios; expected information; z tests), or None without convergence.
    """
    scale = np.abs(design).max(axis=0)
    if not (scale > 0).all() or not 0 < event.sum() < event.size:
        return None
    if start is None:
        start = np.zeros(scale.size)
        start[0] = np.log(-np.log(1.0 - event.mean())) / design[0, 0]
    worked, beta, inverse = _hazard_steps(
        np.ascontiguousarray(design / scale), event, start * scale
    )
    if not worked:
        return None
    return Regression(beta / scale, inverse / np.outer(scale, scale), np.inf)


@numba.njit(cache=True)
def _hazard_steps(
    x: np.ndarray, event: np.ndarray, start: np.ndarray
) -> tuple[bool, np.ndarray, np.ndarray]:
    """Fisher scoring with halved steps."""
    beta = start
    loss, gradient, information = _hazard_loss(x, event, beta)
    for _ in range(_STEPS):
        lowest = np.linalg.eigvalsh(information)[0]
        if not np.isfinite(loss) or lowest <= 1e-10 * np.trace(information):
            return False, beta, information
        step = np.linalg.solve(information, gradient)
        if gradient @ step < _CONVERGED:
            return True, beta + step, np.linalg.inv(information)
        length = 1.0
        while length > 1e-4:
            trial = beta + length * step
            new_loss, new_gradient, new_information = _hazard_loss(x, event, trial)
            if new_loss <= loss:
                break
            length *= 0.5
        beta, loss, gradient, information = trial, new_loss, new_gradient, new_information
    return False, beta, information


@numba.njit(cache=True)
def _hazard_loss(
    x: np.ndarray, event: np.ndarray, beta: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Minus log-likelihood, its negative gradient (the score) and the expected information."""
    n, p = x.shape
    loss = 0.0
    gradient, information = np.zeros(p), np.zeros((p, p))
    for i in range(n):
        linear = 0.0
        for j in range(p):
            linear += x[i, j] * beta[j]
        linear = min(max(linear, -_LARGEST_LINEAR), np.log(_LARGEST_LINEAR))
        rate = np.exp(linear)
        hazard = -np.expm1(-rate)
        loss -= np.log(hazard) if event[i] > 0 else -rate
        weight = rate / hazard * np.exp(-rate)  # d hazard / d linear over hazard
        residual = rate * (event[i] - hazard) / hazard
        expected = rate * weight
        for j in range(p):
            gradient[j] += x[i, j] * residual
            for k in range(j + 1):
                information[j, k] += x[i, j] * x[i, k] * expected
    for j in range(p):
        for k in range(j):
            information[k, j] = information[j, k]
    return loss, gradient, information
