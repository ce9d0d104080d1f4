"""Covariance of a client's scores under a VAR(1) with client effects, and its chain rule.

Forwards: coefficients per phase to the reduced form, from session to session to the covariance of
the within-client process, then client effects and measurement error on top. Backwards: derivatives
by that covariance back to each of them.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from alliance.likelihood.small_matrices import (
    by_factor,
    masked,
    outer,
    product,
    times_transposed,
    transposed_times,
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_compiled = njit(cache=True, fastmath=False, error_model="numpy", nogil=True)


@_compiled
def _lead(same: FloatArray) -> FloatArray:
    """(I - A0)^-1 = I + A0 + A0^2 + ...; A0 is nilpotent because no series precedes itself."""
    k = same.shape[0]
    lead, power = np.eye(k), np.eye(k)
    for _ in range(k - 1):
        power = product(power, same)
        for a in range(k):
            for b in range(k):
                lead[a, b] += power[a, b]
    return lead


@_compiled
def reduced(
    coefficients: FloatArray, innovation: FloatArray, same_session: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """A and Q of the reduced form per phase, and the (I - A0)^-1 that lead there."""
    n, k = coefficients.shape[0], coefficients.shape[1]
    A, Q, lead = np.empty((n, k, k)), np.empty((n, k, k)), np.empty((n, k, k))
    structural = outer(innovation)
    for p in range(n):
        lead[p] = _lead(masked(coefficients[p], same_session, 1.0))
        A[p] = product(lead[p], masked(coefficients[p], same_session, 0.0))
        Q[p] = times_transposed(product(lead[p], structural), lead[p])
    return A, Q, lead


@_compiled
def within_covariance(
    A: FloatArray, Q: FloatArray, first: FloatArray, phase: IntArray
) -> FloatArray:
    """Covariance of the within-client process over sessions, (T k, T k)."""
    k, T = first.shape[0], phase.size
    W = np.zeros((T * k, T * k))
    W[:k, :k] = first
    for t in range(1, T):
        now, before = t * k, (t - 1) * k
        P, new = A[phase[t]], Q[phase[t]]
        for a in range(k):
            for j in range(now):
                value = 0.0
                for c in range(k):
                    value += P[a, c] * W[before + c, j]
                W[now + a, j] = value
                W[j, now + a] = value
        for a in range(k):
            for b in range(k):
                value = new[a, b]
                for c in range(k):
                    value += W[now + a, before + c] * P[b, c]
                W[now + a, now + b] = value
    return W


@_compiled
def total_covariance(
    within: FloatArray, client: FloatArray, loadings: FloatArray, error: FloatArray
) -> FloatArray:
    """Add client effects and measurement error."""
    T, q = loadings.shape
    k = error.size
    V = within.copy()
    for t in range(T):
        for s in range(T):
            for g in range(q):
                for h in range(q):
                    share = loadings[t, g] * loadings[s, h]
                    for a in range(k):
                        for b in range(k):
                            V[t * k + a, s * k + b] += share * client[g * k + a, h * k + b]
        for a in range(k):
            V[t * k + a, t * k + a] += error[a]
    return V


@_compiled
def by_client_covariance(by_V: FloatArray, loadings: FloatArray, k: int) -> FloatArray:
    T, q = loadings.shape
    out = np.zeros((q * k, q * k))
    for t in range(T):
        for s in range(T):
            for g in range(q):
                for h in range(q):
                    share = loadings[t, g] * loadings[s, h]
                    for a in range(k):
                        for b in range(k):
                            out[g * k + a, h * k + b] += share * by_V[t * k + a, s * k + b]
    return out


@_compiled
def back_through_sessions(
    by_V: FloatArray, W: FloatArray, A: FloatArray, phase: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Reverse of :func:`within_covariance`: derivatives by A, Q (per phase) and P1."""
    n, k = A.shape[0], A.shape[1]
    by_A, by_Q = np.zeros((n, k, k)), np.zeros((n, k, k))
    R = np.empty(by_V.shape)  # a block below the diagonal stands for its mirror image too
    for a in range(R.shape[0]):
        for b in range(R.shape[1]):
            R[a, b] = 2.0 * by_V[a, b]
    for t in range(phase.size - 1, 0, -1):
        _back_one_session(R, W, A[phase[t]], t * k, by_A[phase[t]], by_Q[phase[t]])
    return by_A, by_Q, _symmetric_half(R, 0, k)


@_compiled
def _back_one_session(
    R: FloatArray, W: FloatArray, A: FloatArray, now: int, by_A: FloatArray, by_Q: FloatArray
) -> None:
    """Take the derivatives by the block row ``now`` back to the one before it, to A and to Q."""
    k = A.shape[0]
    before = now - k
    by_P = _symmetric_half(R, now, k)
    for a in range(k):
        for b in range(k):
            by_Q[a, b] += by_P[a, b]
            for c in range(k):
                R[now + a, before + b] += by_P[a, c] * A[c, b]
                by_A[a, b] += by_P[a, c] * W[now + c, before + b]
    for a in range(k):
        for b in range(k):
            for j in range(now):
                by_A[a, b] += R[now + a, j] * W[j, before + b]
            for j in range(now):
                share = A[b, a] * R[now + b, j]
                R[before + a, j] += share if j < before else 2.0 * share


@_compiled
def _symmetric_half(R: FloatArray, start: int, k: int) -> FloatArray:
    """Derivatives by a diagonal block, which was doubled too: half of it, symmetric."""
    out = np.empty((k, k))
    for a in range(k):
        for b in range(k):
            out[a, b] = 0.25 * (R[start + a, start + b] + R[start + b, start + a])
    return out


@_compiled
def back_to_structure(
    by_A: FloatArray,
    by_Q: FloatArray,
    A: FloatArray,
    lead: FloatArray,
    innovation: FloatArray,
    same_session: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Derivatives by coefficients and by the factor of the structural innovations."""
    k = innovation.shape[0]
    by_coefficients = np.empty_like(by_A)
    by_structural = np.zeros((k, k))
    structural = outer(innovation)
    for p in range(by_A.shape[0]):
        by_lagged = transposed_times(lead[p], by_A[p])
        inner = transposed_times(lead[p], by_Q[p])
        new = product(inner, lead[p])
        # dA = lead dA0 A; dQ = lead dA0 Q + its transpose
        Q = times_transposed(product(lead[p], structural), lead[p])
        first, second = times_transposed(by_lagged, A[p]), product(inner, Q)
        for a in range(k):
            for b in range(k):
                by_structural[a, b] += new[a, b]
                by_same = first[a, b] + 2.0 * second[a, b]
                by_coefficients[p, a, b] = by_same if same_session[a, b] else by_lagged[a, b]
    return by_coefficients, by_factor(by_structural, innovation)
