"""Compiled passes over clients and therapists of the nested model: Woodbury steps and gradient.

With ``K = (D^-1 + B)^-1`` and ``P = (I + D B)^-1`` for the cross-product ``B`` of a group's
random-effect columns, ``dK = P dD P'`` and ``d log|I + D B| = <B P, dD>``; for the outer level
``dS' = T dS T'`` with ``T = I - S_c K E'``.
"""

# ruff: noqa: ANN001, ANN202
# (compiled kernels: plain loops over arrays, typed by numba; `size` and `upper` are tuples as long
# as there are random effects per level, so that the compiler knows the lengths and unrolls)

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@njit(cache=True, fastmath=False, error_model="numpy")
def _cholesky(M: FloatArray, n: int) -> float:
    """Replace the lower triangle of ``M`` by its Cholesky factor; |M|, NaN if not positive."""
    determinant = 1.0
    for a in range(n):
        for b in range(a + 1):
            value = M[a, b]
            for c in range(b):
                value -= M[a, c] * M[b, c]
            if a > b:
                M[a, b] = value / M[b, b]
            elif value > 0:
                M[a, a] = np.sqrt(value)
                determinant *= value
            else:
                return np.nan
    return determinant


@njit(cache=True, fastmath=False, error_model="numpy")
def _forward_solve(root, right, n):
    """Replace ``right`` (n, n) by ``root^-1 right`` for a lower triangular root."""
    for k in range(n):
        for a in range(n):
            value = right[a, k]
            for c in range(a):
                value -= root[a, c] * right[c, k]
            right[a, k] = value / root[a, a]


@njit(cache=True, fastmath=False, error_model="numpy")
def fixed_effects(A: FloatArray) -> tuple[FloatArray, float, FloatArray, float]:
    """beta, residual sum of squares, root^-1 and log-determinant from ``[X, y]' V^-1 [X, y]``.

    The last pivot of the Cholesky factor of the whole matrix is the root of the residual sum of
    squares; it is NaN for collinear columns.
    """
    p = A.shape[0] - 1
    root = A.copy()
    whole = _cholesky(root, p + 1)
    whiten = np.eye(p)
    _forward_solve(root, whiten, p)
    beta = np.zeros(p)
    for a in range(p):
        for c in range(a, p):
            beta[a] += whiten[c, a] * root[p, c]
    rss = np.nan if np.isnan(whole) else root[p, p] ** 2
    log_det = 0.0
    for a in range(p):
        log_det += 2 * np.log(root[a, a])
    return beta, rss, whiten, log_det


@njit(cache=True, fastmath=False, error_model="numpy")
def _gather(C, columns, B, size):
    """The rows of ``C`` (d, q) that belong to its own random effects, into ``B`` (q, q)."""
    for a in range(len(size)):
        for b in range(len(size)):
            B[a, b] = C[columns[a], b]


@njit(cache=True, fastmath=False, error_model="numpy")
def _shrinkage(B, factor, middle, half, K, size):
    """K = L (I + L'BL)^-1 L' into ``K``; returns log|I + L'BL|. The others are work space."""
    q = len(size)
    for a in range(q):
        for b in range(a + 1):
            value = 1.0 if a == b else 0.0
            for c in range(a, q):
                for e in range(b, q):
                    value += factor[c, a] * B[c, e] * factor[e, b]
            middle[a, b] = value
    log_det = np.log(_cholesky(middle, q))
    for a in range(q):
        for b in range(q):
            half[a, b] = factor[b, a]
    _forward_solve(middle, half, q)
    for a in range(q):
        for b in range(q):
            value = 0.0
            for c in range(q):
                value += half[c, a] * half[c, b]
            K[a, b] = value
    return log_det


@njit(cache=True, fastmath=False, error_model="numpy")
def _subtract_explained(C, K, CK, A, size):
    """Subtract ``C K C'`` from the lower triangle of ``A``; leaves ``C K`` in ``CK``."""
    d = C.shape[0]
    q = len(size)
    for k in range(d):
        for a in range(q):
            value = 0.0
            for b in range(q):
                value += C[k, b] * K[b, a]
            CK[k, a] = value
    for k in range(d):
        for h in range(k + 1):
            value = 0.0
            for a in range(q):
                value += CK[k, a] * C[h, a]
            A[k, h] -= value


@njit(cache=True, fastmath=False, error_model="numpy")
def _mirror(A):
    for k in range(A.shape[0]):
        for h in range(k):
            A[h, k] = A[k, h]


@njit(cache=True, fastmath=False, error_model="numpy")
def client_pass(
    blocks, columns, factor, therapist, outer, outer_columns, total, size, upper
) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """First Woodbury step: shrinkage per client, reduced totals and reduced therapist sums."""
    m, d = blocks.shape[:2]
    q = len(size)
    shrink = np.empty((m, q, q))
    sums = outer.copy()
    A = total.copy()
    B, middle, half = np.empty((q, q)), np.empty((q, q)), np.empty((q, q))
    CK = np.empty((d, q))
    log_det = 0.0
    for i in range(m):
        C = blocks[i]
        _gather(C, columns, B, size)
        log_det += _shrinkage(B, factor, middle, half, shrink[i], size)
        _subtract_explained(C, shrink[i], CK, A, size)
        for h in range(len(upper)):
            for k in range(d):
                value = 0.0
                for a in range(q):
                    value += CK[k, a] * C[outer_columns[h], a]
                sums[therapist[i], k, h] -= value
    _mirror(A)
    return shrink, sums, A, log_det


@njit(cache=True, fastmath=False, error_model="numpy")
def therapist_pass(sums, columns, factor, A, log_det, size) -> tuple[FloatArray, FloatArray, float]:
    """Second Woodbury step, on the reduced sums of each therapist."""
    n, d = sums.shape[:2]
    r = len(size)
    shrink = np.empty((n, r, r))
    B, middle, half = np.empty((r, r)), np.empty((r, r)), np.empty((r, r))
    SK = np.empty((d, r))
    for j in range(n):
        _gather(sums[j], columns, B, size)
        log_det += _shrinkage(B, factor, middle, half, shrink[j], size)
        _subtract_explained(sums[j], shrink[j], SK, A, size)
    _mirror(A)
    return shrink, A, log_det


@njit(cache=True, fastmath=False, error_model="numpy")
def _add_outer_products(C, u, whiten, reml, z, inner, size):
    """Add ``C' (u u' + [root root']^-1) C`` to ``inner``, the second term only for REML."""
    d = C.shape[0]
    q = len(size)
    for k in range(-1, d - 1 if reml else 0):
        for a in range(q):
            value = 0.0
            if k < 0:
                for h in range(d):
                    value += C[h, a] * u[h]
            else:
                for h in range(k + 1):
                    value += whiten[k, h] * C[h, a]
            z[a] = value
        for a in range(q):
            for b in range(q):
                inner[a, b] += z[a] * z[b]


@njit(cache=True, fastmath=False, error_model="numpy")
def _add_gradient(B, K, inner, P, left, out, size):
    """Add ``B P - P' inner P`` to ``out`` where ``P = I - K B``."""
    q = len(size)
    for a in range(q):
        for b in range(q):
            value = 1.0 if a == b else 0.0
            for c in range(q):
                value -= K[a, c] * B[c, b]
            P[a, b] = value
    for a in range(q):
        for b in range(q):
            value = 0.0
            for c in range(q):
                value += inner[a, c] * P[c, b]
            left[a, b] = value
    for a in range(q):
        for b in range(q):
            value = 0.0
            for c in range(q):
                value += B[a, c] * P[c, b] - P[c, a] * left[c, b]
            out[a, b] += value


@njit(cache=True, fastmath=False, error_model="numpy")
def _through_therapist(C, S, K, columns, moved, inner, size, upper):
    """``T C`` into ``moved`` and ``(E'C)' K (E'C)`` into ``inner``: a client under a therapist."""
    d = C.shape[0]
    q = len(size)
    r = len(upper)
    for a in range(q):
        for k in range(d):
            value = C[k, a]
            for h in range(r):
                for g in range(r):
                    value -= S[k, h] * K[h, g] * C[columns[g], a]
            moved[k, a] = value
        for b in range(q):
            value = 0.0
            for h in range(r):
                for g in range(r):
                    value += C[columns[h], a] * K[h, g] * C[columns[g], b]
            inner[a, b] = value


@njit(cache=True, fastmath=False, error_model="numpy")
def gradient_pass(
    blocks,
    columns,
    shrink,
    therapist,
    sums,
    outer_columns,
    outer_shrink,
    u,
    whiten,
    reml,
    size,
    upper,
) -> tuple[FloatArray, FloatArray]:
    """Derivatives of the criterion with respect to both relative covariance matrices."""
    m, d = blocks.shape[:2]
    q = len(size)
    n = len(sums)
    r = len(upper)
    by_client, by_therapist = np.zeros((q, q)), np.zeros((r, r))
    B, inner, P, left = np.empty((q, q)), np.zeros((q, q)), np.empty((q, q)), np.empty((q, q))
    z, moved = np.empty(max(q, r)), np.empty((d, q))
    for i in range(m):
        _gather(blocks[i], columns, B, size)
        if r > 0:
            j = therapist[i]
            _through_therapist(
                blocks[i], sums[j], outer_shrink[j], outer_columns, moved, inner, size, upper
            )
            _add_outer_products(moved, u, whiten, reml, z, inner, size)
        else:
            inner[:] = 0.0
            _add_outer_products(blocks[i], u, whiten, reml, z, inner, size)
        _add_gradient(B, shrink[i], inner, P, left, by_client, size)
    B, inner, P, left = np.empty((r, r)), np.zeros((r, r)), np.empty((r, r)), np.empty((r, r))
    for j in range(n):
        _gather(sums[j], outer_columns, B, upper)
        inner[:] = 0.0
        _add_outer_products(sums[j], u, whiten, reml, z, inner, upper)
        _add_gradient(B, outer_shrink[j], inner, P, left, by_therapist, upper)
    return by_client, by_therapist
