"""Compiled arithmetic on blocks of clients, the client index last.

Every inner loop runs over the ``BLOCK`` clients of a block, which are neighbouring numbers. Sums
have a fixed order and ``fastmath`` is off: the same input gives the same bits.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

BLOCK = 64


def in_blocks(values: NDArray) -> NDArray:
    """(n, ...) to (n_blocks, ..., BLOCK), filled up with zeros."""
    n_blocks = -(-values.shape[0] // BLOCK)
    padded = np.zeros((n_blocks * BLOCK, *values.shape[1:]), dtype=values.dtype)
    padded[: values.shape[0]] = values
    blocked = padded.reshape(n_blocks, BLOCK, *values.shape[1:])
    return np.ascontiguousarray(np.moveaxis(blocked, 1, -1))


_compiled = njit(cache=True, fastmath=False, error_model="numpy", nogil=True)


@_compiled
def relative_covariance(gram: FloatArray, L: FloatArray, K: FloatArray, D: FloatArray) -> float:
    """``D = L (I + L' G L)^-1 L'`` per client; returns the sum of ``log |I + L' G L|``."""
    q = L.shape[0]
    for a in range(q):
        for b in range(a + 1):
            fill(K[a, b], 1.0 if a == b else 0.0)
            for c in range(a, q):
                for d in range(b, q):
                    add_scaled(L[c, a] * L[d, b], gram[c, d], K[a, b])
            copy(K[a, b], K[b, a])
    log_det = _invert(K)
    for c in range(q):
        for d in range(c + 1):
            fill(D[c, d], 0.0)
            for a in range(c + 1):
                for b in range(d + 1):
                    add_scaled(L[c, a] * L[d, b], K[a, b], D[c, d])
            copy(D[c, d], D[d, c])
    return log_det


@_compiled
def _invert(K: FloatArray) -> float:
    """Invert positive definite K in place (Gauss-Jordan, pivots >= 1); returns sum of log |K|."""
    q = K.shape[0]
    det = np.ones(BLOCK)
    for a in range(q):
        for k in range(BLOCK):
            det[k] *= K[a, a, k]
            K[a, a, k] = 1.0 / K[a, a, k]
        for b in range(q):
            if b != a:
                _eliminate(K, a, b)
        for b in range(q):
            if b != a:
                for k in range(BLOCK):
                    K[a, b, k] *= K[a, a, k]
    total = 0.0
    for k in range(0, BLOCK, 2):  # one logarithm for two clients
        total += np.log(det[k] * det[k + 1])
    return total


@_compiled
def _eliminate(K: FloatArray, a: int, b: int) -> None:
    """Gauss-Jordan step of row b with pivot a (the reciprocal pivot is already in place)."""
    for k in range(BLOCK):
        K[b, a, k] *= K[a, a, k]
    for c in range(K.shape[0]):
        if c != a:
            for k in range(BLOCK):
                K[b, c, k] -= K[b, a, k] * K[a, c, k]
    for k in range(BLOCK):
        K[b, a, k] = -K[b, a, k]


@_compiled
def project(zx: FloatArray, gamma: FloatArray, z: FloatArray) -> None:
    """``Z' (y - X beta)`` per client."""
    for c in range(zx.shape[0]):
        fill(z[c], 0.0)
        for k in range(gamma.size):
            add_scaled(gamma[k], zx[c, k], z[c])


@_compiled
def apply(D: FloatArray, z: FloatArray, a: FloatArray) -> None:
    """``a = D z`` per client."""
    for c in range(D.shape[0]):
        for k in range(BLOCK):
            a[c, k] = 0.0
        for d in range(D.shape[0]):
            for k in range(BLOCK):
                a[c, k] += D[c, d, k] * z[d, k]


@_compiled
def fill(out: FloatArray, value: float) -> None:
    for k in range(BLOCK):
        out[k] = value


@_compiled
def copy(x: FloatArray, out: FloatArray) -> None:
    for k in range(BLOCK):
        out[k] = x[k]


@_compiled
def add_scaled(factor: float, x: FloatArray, out: FloatArray) -> None:
    for k in range(BLOCK):
        out[k] += factor * x[k]


@_compiled
def subtract_product(x: FloatArray, y: FloatArray, out: FloatArray) -> None:
    for k in range(BLOCK):
        out[k] -= x[k] * y[k]


@_compiled
def triple(x: FloatArray, y: FloatArray, z: FloatArray) -> float:
    total = 0.0
    for k in range(BLOCK):
        total += x[k] * y[k] * z[k]
    return total


@_compiled
def dot(x: FloatArray, y: FloatArray) -> float:
    """Sum of products in four fixed strands: fast without reordering by the compiler."""
    s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
    for k in range(0, BLOCK, 4):
        s0 += x[k] * y[k]
        s1 += x[k + 1] * y[k + 1]
        s2 += x[k + 2] * y[k + 2]
        s3 += x[k + 3] * y[k + 3]
    return (s0 + s1) + (s2 + s3)
