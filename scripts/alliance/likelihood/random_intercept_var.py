"""Exact likelihood and gradient of the random-intercept VAR(1) of k series.

The model, for client i at session t (Hamaker, Kuiper & Grasman 2015, Psychological Methods 20(1),
102-116, with coefficients equal over sessions; Asparouhov, Hamaker & Muthen 2018)::

    z[i,t] = mean[t] + u[i] + s[i] * time[t] + w[i,t] + error[i,t]
    w[i,t] = A w[i,t-1] + e[i,t],   e ~ N(0, Q),   w[i,1] ~ N(0, P1)

``u`` (and trends ``s``) are normal client effects, ``error`` has known variances. Stacked over
sessions a client is one normal vector whose covariance V is the same for everybody, so that

* the Cholesky factor of V holds those of all shorter treatments in its leading blocks,
* scores missing before a client's last session are taken out of the precision matrix
  (``inverse(V[O,O]) = P[O,O] - P[O,M] inverse(P[M,M]) P[M,O]``), and
* clients who share a pattern of missing scores enter through their mean and the triangular root of
  their cross-products: never more vectors than scores, however many clients.

The gradient by V is collected over clients and taken back to the parameters once. Loops run over
neighbouring numbers without fast mathematics: the same input gives the same bits.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from alliance.likelihood.var_data import VarData

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_compiled = njit(cache=True, fastmath=False, error_model="numpy", nogil=True)


Gradients = tuple[float, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]


@_compiled
def log_likelihood_and_gradient(
    mean: FloatArray,
    coefficients: FloatArray,
    innovation: FloatArray,
    first: FloatArray,
    client: FloatArray,
    same_session: FloatArray,
    phase: IntArray,
    loadings: FloatArray,
    error: FloatArray,
    values: FloatArray,
    weight: FloatArray,
    centred: FloatArray,
    first_vector: IntArray,
    length: IntArray,
    n_clients: FloatArray,
    missing: IntArray,
    first_missing: IntArray,
) -> Gradients:
    """Log-likelihood and its derivatives.

    Parameters
    ----------
    mean : (T, k). coefficients : (phases, k, k), effect of the latest value of the column series on
        the row series; the diagonal holds the autoregressions.
    innovation, first, client : lower Cholesky factors (k, k), (k, k), (q k, q k) of the covariance
        of the structural innovations, of the first session and of the client effects.
    same_session ... error : :class:`VarStructure`. values ... first_missing : :class:`VarData`.

    Returns
    -------
    value (NaN where V is not positive definite), then derivatives by ``mean``, ``coefficients`` and
    the three factors (lower triangles).
    """
    k = error.size
    A, Q, lead = _reduced(coefficients, innovation, same_session)
    within = _within_covariance(A, Q, _outer(first), phase)
    V = _total_covariance(within, _outer(client), loadings, error)
    value, score, by_V, _ = _over_clients(
        V, mean.copy().reshape(-1), k, values, weight, centred, first_vector, length, n_clients,
        missing, first_missing,
    )  # fmt: skip
    by_client = _by_client_covariance(by_V, loadings, k)
    by_A, by_Q, by_first = _back_through_sessions(by_V, within, A, phase)
    by_coefficients, by_innovation = _back_to_structure(
        by_A, by_Q, A, lead, innovation, same_session
    )
    return (
        value,
        score.reshape(mean.shape),
        by_coefficients,
        by_innovation,
        _by_factor(by_first, first),
        _by_factor(by_client, client),
    )


@_compiled
def covariance(
    coefficients: FloatArray,
    innovation: FloatArray,
    first: FloatArray,
    client: FloatArray,
    same_session: FloatArray,
    phase: IntArray,
    loadings: FloatArray,
    error: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Covariance (T k, T k) of a client's scores, and its part without client effects and error."""
    A, Q, _ = _reduced(coefficients, innovation, same_session)
    within = _within_covariance(A, Q, _outer(first), phase)
    return _total_covariance(within, _outer(client), loadings, error), within


def mean_information(V: FloatArray, data: VarData) -> tuple[FloatArray, FloatArray]:
    """Information about the means and the score at mean zero: the generalised least squares system.

    Returns
    -------
    (T k, T k) sum over clients of the inverse of V at their observed scores, filled up with zeros,
    and (T k,) sum of these inverses times the scores.
    """
    zero = np.zeros(V.shape[0])
    _, score, _, information = _over_clients(V, zero, data.n_series, *data.arrays())
    return information, score


# From parameters to the covariance


@_compiled
def _outer(factor: FloatArray) -> FloatArray:
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
def _product(X: FloatArray, Y: FloatArray) -> FloatArray:
    """X Y for small matrices."""
    Z = np.zeros((X.shape[0], Y.shape[1]))
    for a in range(X.shape[0]):
        for c in range(X.shape[1]):
            for b in range(Y.shape[1]):
                Z[a, b] += X[a, c] * Y[c, b]
    return Z


@_compiled
def _times_transposed(X: FloatArray, Y: FloatArray) -> FloatArray:
    """X Y' for small matrices."""
    Z = np.zeros((X.shape[0], Y.shape[0]))
    for a in range(X.shape[0]):
        for b in range(Y.shape[0]):
            for c in range(X.shape[1]):
                Z[a, b] += X[a, c] * Y[b, c]
    return Z


@_compiled
def _transposed_times(X: FloatArray, Y: FloatArray) -> FloatArray:
    """X' Y for small matrices."""
    Z = np.zeros((X.shape[1], Y.shape[1]))
    for c in range(X.shape[0]):
        for a in range(X.shape[1]):
            for b in range(Y.shape[1]):
                Z[a, b] += X[c, a] * Y[c, b]
    return Z


@_compiled
def _masked(X: FloatArray, mask: FloatArray, keep: float) -> FloatArray:
    """Entries of X where the mask has the value ``keep``, zero elsewhere."""
    Z = np.zeros(X.shape)
    for a in range(X.shape[0]):
        for b in range(X.shape[1]):
            if mask[a, b] == keep:
                Z[a, b] = X[a, b]
    return Z


@_compiled
def _lead(same: FloatArray) -> FloatArray:
    """(I - A0)^-1 = I + A0 + A0^2 + ...; A0 is nilpotent because no series precedes itself."""
    k = same.shape[0]
    lead, power = np.eye(k), np.eye(k)
    for _ in range(k - 1):
        power = _product(power, same)
        for a in range(k):
            for b in range(k):
                lead[a, b] += power[a, b]
    return lead


@_compiled
def _reduced(
    coefficients: FloatArray, innovation: FloatArray, same_session: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """A and Q of the reduced form per phase, and the (I - A0)^-1 that lead there."""
    n, k = coefficients.shape[0], coefficients.shape[1]
    A, Q, lead = np.empty((n, k, k)), np.empty((n, k, k)), np.empty((n, k, k))
    structural = _outer(innovation)
    for p in range(n):
        lead[p] = _lead(_masked(coefficients[p], same_session, 1.0))
        A[p] = _product(lead[p], _masked(coefficients[p], same_session, 0.0))
        Q[p] = _times_transposed(_product(lead[p], structural), lead[p])
    return A, Q, lead


@_compiled
def _within_covariance(
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
def _total_covariance(
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


# From the derivatives by the covariance back to the parameters


@_compiled
def _by_factor(by_matrix: FloatArray, factor: FloatArray) -> FloatArray:
    """Derivatives by a lower factor F from those by F F' (symmetric)."""
    n = factor.shape[0]
    out = np.zeros((n, n))
    for a in range(n):
        for b in range(a + 1):
            for c in range(n):
                out[a, b] += 2.0 * by_matrix[a, c] * factor[c, b]
    return out


@_compiled
def _by_client_covariance(by_V: FloatArray, loadings: FloatArray, k: int) -> FloatArray:
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
def _back_through_sessions(
    by_V: FloatArray, W: FloatArray, A: FloatArray, phase: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Reverse of :func:`_within_covariance`: derivatives by A, Q (per phase) and P1."""
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
def _back_to_structure(
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
    structural = _outer(innovation)
    for p in range(by_A.shape[0]):
        by_lagged = _transposed_times(lead[p], by_A[p])
        inner = _transposed_times(lead[p], by_Q[p])
        new = _product(inner, lead[p])
        # dA = lead dA0 A; dQ = lead dA0 Q + its transpose
        Q = _times_transposed(_product(lead[p], structural), lead[p])
        first, second = _times_transposed(by_lagged, A[p]), _product(inner, Q)
        for a in range(k):
            for b in range(k):
                by_structural[a, b] += new[a, b]
                by_same = first[a, b] + 2.0 * second[a, b]
                by_coefficients[p, a, b] = by_same if same_session[a, b] else by_lagged[a, b]
    return by_coefficients, _by_factor(by_structural, innovation)


# Over clients


@_compiled
def _over_clients(
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
