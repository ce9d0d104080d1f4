"""Small regressions, fast enough to be repeated in thousands of null data sets.

Least squares with robust errors (HC3: MacKinnon & White 1985; by cluster: Liang & Zeger 1986 with
the usual small-sample factor), the same within clients (fixed effects), and the discrete-time
hazard with complementary log-log link (Prentice & Gloeckler 1978), by maximum likelihood or with
Jeffreys' penalty, and score tests of further columns. Checked against statsmodels in the tests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
_STEPS = 30
_CONVERGED = 1e-7  # squared length of a step in standard errors; one more step is made
_LARGEST_LINEAR = 20.0
_SMALLEST_COLUMN = 1e-9  # length of a column that counts as empty
_LARGEST_CONDITION = 1e10  # of the cross products of columns of length one
_NO_CLUSTERS = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Regression:
    """Coefficients (p,) and their covariance (p, p); ``df`` of t tests.

    ``n_obs`` and, of regressions within clients, ``n_clients`` are those that were used.
    """

    coefficients: FloatArray
    covariance: FloatArray
    df: float
    n_obs: int = 0
    n_clients: int = 0

    def contrast(self, weights: FloatArray) -> tuple[float, float]:
        """Estimate and standard error of a weighted sum of coefficients."""
        variance = float(weights @ self.covariance @ weights)
        return float(weights @ self.coefficients), float(np.sqrt(max(variance, 0.0)))


def least_squares(
    design: FloatArray, outcome: FloatArray, clusters: IntArray | None = None
) -> Regression | None:
    """OLS of ``outcome`` (n,) on ``design`` (n, p); None where its columns are not independent.

    Parameters
    ----------
    clusters : (n,) codes from 0; without them the errors are HC3.
    """
    n, p = design.shape
    if n <= p:
        return None
    codes = _NO_CLUSTERS if clusters is None else clusters
    independent, beta, covariance, groups = _ols(np.ascontiguousarray(design), outcome, codes)
    if not independent:
        return None
    df = n - p if clusters is None else groups - 1
    return Regression(beta, covariance, df, n, 0 if clusters is None else groups)


def within_least_squares(
    design: FloatArray, outcome: FloatArray, client: IntArray
) -> Regression | None:
    """OLS with an intercept for each client (fixed effects), errors clustered by client.

    Parameters
    ----------
    client : (n,) codes in ascending order. Clients with one row tell nothing and are left out.

    Returns
    -------
    Regression with ``df`` one less than the clients; None where the columns are not independent.
    """
    x, y, number = _within(np.ascontiguousarray(design), outcome, client)
    groups = int(number[-1]) + 1 if number.size else 0
    if groups < 2 or number.size - groups <= x.shape[1]:
        return None
    return least_squares(x, y, number)


@numba.njit(cache=True)
def _within(
    x: np.ndarray, y: np.ndarray, client: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Deviations from the means of clients with at least two rows, and these clients numbered."""
    n, p = x.shape
    x_out, y_out, number = np.empty((n, p)), np.empty(n), np.empty(n, dtype=np.int64)
    mean = np.empty(p)
    first, kept, found = 0, 0, 0
    while first < n:
        stop = first
        mean[:] = 0.0
        y_mean = 0.0
        while stop < n and client[stop] == client[first]:
            for j in range(p):
                mean[j] += x[stop, j]
            y_mean += y[stop]
            stop += 1
        size = stop - first
        if size > 1:
            for i in range(first, stop):
                for j in range(p):
                    x_out[kept, j] = x[i, j] - mean[j] / size
                y_out[kept] = y[i] - y_mean / size
                number[kept] = found
                kept += 1
            found += 1
        first = stop
    return x_out[:kept], y_out[:kept], number[:kept]


@numba.njit(cache=True)
def _ols(
    x: np.ndarray, y: np.ndarray, clusters: np.ndarray
) -> tuple[bool, np.ndarray, np.ndarray, int]:
    """Whether the columns are independent, coefficients, robust covariance, number of clusters.

    Without clusters each row is one and weighs as HC3 says.
    """
    n, p = x.shape
    independent, inverse = _inverse(x.T @ x)
    if not independent:
        return False, np.zeros(p), inverse, 0
    beta = inverse @ (x.T @ y)
    by_row = clusters.size == 0
    groups = n if by_row else clusters.max() + 1
    sums, rows = np.zeros((groups, p)), np.zeros(groups, dtype=np.int64)
    for i in range(n):
        residual = y[i]
        for j in range(p):
            residual -= x[i, j] * beta[j]
        if by_row:
            leverage = 0.0
            for j in range(p):
                for k in range(p):
                    leverage += x[i, j] * inverse[j, k] * x[i, k]
            residual /= max(1.0 - leverage, 1e-12)
        group = i if by_row else clusters[i]
        rows[group] += 1
        for j in range(p):
            sums[group, j] += x[i, j] * residual
    covariance = inverse @ (sums.T @ sums) @ inverse
    occurring = np.count_nonzero(rows)
    if not by_row:
        covariance *= occurring / (occurring - 1) * (n - 1) / (n - p)
    return True, beta, covariance, occurring


@numba.njit(cache=True)
def _inverse(cross: np.ndarray) -> tuple[bool, np.ndarray]:
    """Inverse of cross products; False where a column is empty or a sum of others."""
    size = np.sqrt(np.diag(cross))
    if size.min() <= _SMALLEST_COLUMN:
        return False, cross
    scaled = cross / np.outer(size, size)
    roots = np.linalg.eigvalsh(scaled)
    if roots[0] * _LARGEST_CONDITION <= roots[-1]:
        return False, cross
    return True, np.linalg.inv(scaled) / np.outer(size, size)


def hazard_regression(
    design: FloatArray,
    event: FloatArray,
    start: FloatArray | None = None,
    *,
    penalised: bool = False,
) -> Regression | None:
    """Discrete-time hazard with complementary log-log link.

    Maximum likelihood, or with half the log determinant of the expected information added to the
    log-likelihood (Jeffreys' penalty): its estimates are finite even where nobody, or everybody,
    of a group leaves (Kosmidis & Firth 2021, Biometrika 108, 71-82).

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
        np.ascontiguousarray(design / scale), event, start * scale, penalised
    )
    if not worked:
        return None
    return Regression(beta / scale, inverse / np.outer(scale, scale), np.inf)


def hazard_scores(
    design: FloatArray, event: FloatArray, fit: Regression, columns: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Score statistics z of further columns beside those of a hazard.

    z = (V^-1 U) / sqrt(diag V^-1), U the scores of the columns at the fit without them and V their
    information beside the others: Rao's test for one column, for several each beside the rest, to
    first order. For a group, U compares its observed with its expected events. Unlike estimate over
    standard error z exists where a group has none, and is near normal with few.

    Parameters
    ----------
    design, event : of ``hazard_regression``. fit : its result, without penalty.
    columns : (rows, k) of zeros and ones.

    Returns
    -------
    z (k,), NaN where columns are sums of others; and (k,) the log ratios of observed and expected
    events, half an event added to both: first guesses of the coefficients.
    """
    linear = np.clip(design @ fit.coefficients, -_LARGEST_LINEAR, np.log(_LARGEST_LINEAR))
    rate = np.exp(linear)
    hazard = -np.expm1(-rate)
    scores = columns.T @ (rate * (event - hazard) / hazard)
    weight = (rate**2 / hazard * (1.0 - hazard))[:, None]
    shared, own = design.T @ (weight * columns), columns.T @ (weight * columns)
    guess = np.log((columns.T @ event + 0.5) / (columns.T @ hazard + 0.5))
    information = own - shared.T @ np.linalg.solve(design.T @ (weight * design), shared)
    alone = np.diag(information) > _SMALLEST_COLUMN * np.diag(own)  # not a sum of the design's
    independent, inverse = _inverse(information) if alone.all() else (False, information)
    if not independent:
        return np.full(scores.size, np.nan), guess
    return (inverse @ scores) / np.sqrt(np.diag(inverse)), guess


@numba.njit(cache=True)
def _hazard_steps(
    x: np.ndarray, event: np.ndarray, start: np.ndarray, penalised: bool
) -> tuple[bool, np.ndarray, np.ndarray]:
    """Fisher scoring with halved steps."""
    beta = start
    loss, gradient, information = _hazard_loss(x, event, beta, penalised)
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
            new_loss, new_gradient, new_information = _hazard_loss(x, event, trial, penalised)
            if new_loss <= loss:
                break
            length *= 0.5
        beta, loss, gradient, information = trial, new_loss, new_gradient, new_information
    return False, beta, information


@numba.njit(cache=True)
def _hazard_loss(
    x: np.ndarray, event: np.ndarray, beta: np.ndarray, penalised: bool
) -> tuple[float, np.ndarray, np.ndarray]:
    """Minus log-likelihood, its negative gradient (the score) and the expected information."""
    linear = x @ beta
    residual, weight, slope = np.empty(event.size), np.empty(event.size), np.empty(event.size)
    loss = 0.0
    for i in range(event.size):
        rate = np.exp(min(max(linear[i], -_LARGEST_LINEAR), np.log(_LARGEST_LINEAR)))
        hazard = -np.expm1(-rate)
        loss -= np.log(hazard) if event[i] > 0 else -rate
        odds = rate / hazard
        residual[i] = odds * (event[i] - hazard)
        weight[i] = odds * rate * (1.0 - hazard)  # expected information of the row
        slope[i] = 2.0 - rate - odds * (1.0 - hazard)  # d log weight / d linear
    weighted = x * weight.reshape(-1, 1)
    information = x.T @ weighted
    gradient = residual @ x
    if not penalised:
        return loss, gradient, information
    sign, logarithm = np.linalg.slogdet(information)
    if sign <= 0:
        return np.inf, gradient, information
    # gradient of half the log determinant: leverages times half the slopes, times the rows
    spread = weighted @ np.linalg.inv(information)
    for i in range(event.size):
        leverage = 0.0
        for j in range(beta.size):
            leverage += spread[i, j] * x[i, j]
        slope[i] *= 0.5 * leverage
    return loss - 0.5 * logarithm, gradient + slope @ x, information
