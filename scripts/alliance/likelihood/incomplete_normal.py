"""Density of normal vectors with one covariance, of different length and with holes.

Vectors are those of ``VarData``: sorted by length, those who share a pattern of missing scores
together. The precision of a longer vector extends that of a shorter one, and missing cells are
taken out of it. The gradient by the covariance is collected over all vectors.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_compiled = njit(cache=True, fastmath=False, error_model="numpy", nogil=True)


@_compiled
def over_clients(
    V: FloatArray,
    mean: FloatArray,
    k: int,
    values: FloatArray,
    weight: FloatArray,
    centred: FloatArray,
    first_vector: IntArray,
    length: IntArray,
    n_clients: FloatArray,
    missing: IntArray,
    first_missing: IntArray,
) -> tuple[float, FloatArray, FloatArray, FloatArray]:
    """Log-likelihood, its derivatives by the mean and by V, and the information of the mean."""
    d = V.shape[0]
    whiten, log_pivots = _inverse_root(V)
    P, score, squares, information = (
        np.zeros((d, d)),
        np.zeros(d),
        np.zeros((d, d)),
        np.zeros((d, d)),
    )
    log_det, value, sessions = 0.0, 0.0, 0
    for g in range(length.size):
        while sessions < length[g]:
            log_det += _extend(P, whiten, log_pivots, sessions * k, (sessions + 1) * k)
            sessions += 1
        size = length[g] * k
        holes = missing[first_missing[g] : first_missing[g + 1]]
        W, more = _projection(P, holes, size)
        _add_information(information, P, W, size, n_clients[g])
        quadratic = 0.0
        for v in range(first_vector[g], first_vector[g + 1]):
            quadratic += _add_vector(
                values[v], mean, weight[v], centred[v], P, W, holes, size, score, squares
            )
        n_cells = size - holes.size
        value -= 0.5 * (n_clients[g] * (n_cells * np.log(2.0 * np.pi) + log_det + more) + quadratic)
    by_V = np.empty((d, d))
    for a in range(d):
        for b in range(a + 1):
            by_V[a, b] = by_V[b, a] = 0.5 * (squares[a, b] - information[a, b])
            information[b, a] = information[a, b]
    return value, score, by_V, information


@_compiled
def _inverse_root(V: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Inverse of the Cholesky factor of V and its log squared pivots; NaN if not positive."""
    d = V.shape[0]
    L, inverse, log_pivots = np.zeros((d, d)), np.zeros((d, d)), np.empty(d)
    for a in range(d):
        for b in range(a):
            value = V[a, b]
            for c in range(b):
                value -= L[a, c] * L[b, c]
            L[a, b] = value / L[b, b]
        pivot = V[a, a]
        for c in range(a):
            pivot -= L[a, c] * L[a, c]
        L[a, a] = np.sqrt(pivot) if pivot > 0.0 else np.nan
        log_pivots[a] = np.log(pivot) if pivot > 0.0 else np.nan
        inverse[a, a] = 1.0 / L[a, a]
        for c in range(a):
            for b in range(c + 1):
                inverse[a, b] -= L[a, c] * inverse[c, b]
        for b in range(a):
            inverse[a, b] *= inverse[a, a]
    return inverse, log_pivots


@_compiled
def _extend(
    P: FloatArray, whiten: FloatArray, log_pivots: FloatArray, start: int, stop: int
) -> float:
    """Turn the precision of the first ``start`` cells into that of ``stop``; gain of log|V|."""
    gain = 0.0
    for r in range(start, stop):
        gain += log_pivots[r]
        for a in range(r + 1):
            for b in range(r + 1):
                P[a, b] += whiten[r, a] * whiten[r, b]
    return gain


@_compiled
def _projection(P: FloatArray, holes: IntArray, size: int) -> tuple[FloatArray, float]:
    """W with ``W'W`` what missing cells take from the precision, and the change of log|V|."""
    m = holes.size
    W, L = np.zeros((m, size)), np.zeros((m, m))
    log_det = 0.0
    for a in range(m):
        row = W[a]
        for j in range(size):
            row[j] = P[holes[a], j]
        for b in range(a):
            value = W[a, holes[b]]
            L[a, b] = value / L[b, b]
            for j in range(size):
                row[j] -= L[a, b] * W[b, j]
        pivot = W[a, holes[a]]
        L[a, a] = np.sqrt(pivot) if pivot > 0.0 else np.nan
        log_det += np.log(pivot) if pivot > 0.0 else np.nan
        for j in range(size):
            row[j] /= L[a, a]
    return W, log_det


@_compiled
def _add_information(
    information: FloatArray, P: FloatArray, W: FloatArray, size: int, n: float
) -> None:
    """Add ``n (P - W'W)``, lower triangle."""
    for a in range(size):
        for b in range(a + 1):
            information[a, b] += n * P[a, b]
        for c in range(W.shape[0]):
            share = n * W[c, a]
            for b in range(a + 1):
                information[a, b] -= share * W[c, b]


@_compiled
def _add_vector(
    scores: FloatArray,
    mean: FloatArray,
    weight: float,
    centred: float,
    P: FloatArray,
    W: FloatArray,
    holes: IntArray,
    size: int,
    score: FloatArray,
    squares: FloatArray,
) -> float:
    """Quadratic form of one vector; adds to the score of the mean and the sum of squares."""
    r, y = np.empty(size), np.zeros(size)
    for a in range(size):
        r[a] = scores[a] - centred * mean[a]
    for h in holes:
        r[h] = 0.0
    for a in range(size):
        for b in range(size):
            y[b] += r[a] * P[a, b]
    for c in range(W.shape[0]):
        share = 0.0
        for a in range(size):
            share += W[c, a] * r[a]
        for b in range(size):
            y[b] -= share * W[c, b]
    quadratic = 0.0
    for a in range(size):
        quadratic += r[a] * y[a]
        score[a] += weight * centred * y[a]
        share = weight * y[a]
        for b in range(a + 1):
            squares[a, b] += share * y[b]
    return weight * quadratic
