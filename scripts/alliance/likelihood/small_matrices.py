"""Compiled arithmetic of matrices with a handful of rows, without a threaded library."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_compiled = njit(cache=True, fastmath=False, error_model="numpy", nogil=True)


@_compiled
def outer(factor: FloatArray) -> FloatArray:
    """factor factor'"""
    n = factor.shape[0]
    M = np.zeros((n, n))
    for a in range(n):
        for b in range(n):
            value = 0.0
            for c in range(min(a, b) + 1):
                value += factor[a, c] * factor[b, c]
            M[a, b] = value
    return M


@_compiled
def product(X: FloatArray, Y: FloatArray) -> FloatArray:
    """X Y for small matrices."""
    Z = np.zeros((X.shape[0], Y.shape[1]))
    for a in range(X.shape[0]):
        for c in range(X.shape[1]):
            for b in range(Y.shape[1]):
                Z[a, b] += X[a, c] * Y[c, b]
    return Z


@_compiled
def times_transposed(X: FloatArray, Y: FloatArray) -> FloatArray:
    """X Y' for small matrices."""
    Z = np.zeros((X.shape[0], Y.shape[0]))
    for a in range(X.shape[0]):
        for b in range(Y.shape[0]):
            for c in range(X.shape[1]):
                Z[a, b] += X[a, c] * Y[b, c]
    return Z


@_compiled
def transposed_times(X: FloatArray, Y: FloatArray) -> FloatArray:
    """X' Y for small matrices."""
    Z = np.zeros((X.shape[1], Y.shape[1]))
    for c in range(X.shape[0]):
        for a in range(X.shape[1]):
            for b in range(Y.shape[1]):
                Z[a, b] += X[c, a] * Y[c, b]
    return Z


@_compiled
def masked(X: FloatArray, mask: FloatArray, keep: float) -> FloatArray:
    """Entries of X where the mask has the value ``keep``, zero elsewhere."""
    Z = np.zeros(X.shape)
    for a in range(X.shape[0]):
        for b in range(X.shape[1]):
            if mask[a, b] == keep:
                Z[a, b] = X[a, b]
    return Z


@_compiled
def by_factor(by_matrix: FloatArray, factor: FloatArray) -> FloatArray:
    """Derivatives by a lower factor F from those by F F' (symmetric)."""
    n = factor.shape[0]
    out = np.zeros((n, n))
    for a in range(n):
        for b in range(a + 1):
            for c in range(n):
                out[a, b] += 2.0 * by_matrix[a, c] * factor[c, b]
    return out
