"""Log-likelihood and gradient of the nested Gaussian model, random effects integrated out.

The model: ``y = X beta + Z u + W w + e`` with client effects ``u ~ N(0, Lc Lc')``, therapist
effects ``w ~ N(0, Lt Lt')`` and residuals ``e ~ N(0, sigma^2)``; Z and W are columns of X.
Clients are removed by the Woodbury identity, then therapists by the same identity on sums over
their clients (Harville 1977; Bates et al. 2015 describe the same cross-products). The gradient uses
Fisher's identity: the score of the marginal model is the posterior mean of the complete-data score.

Clients stand in blocks of ``BLOCK``, the client index last, so that every inner loop runs over
neighbouring numbers. The last block is filled up with clients without rows, who contribute
nothing. ``fastmath`` is off and every sum has a fixed order: the same input gives the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from alliance.likelihood.statistics import NestedStatistics

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

BLOCK = 64


@dataclass(frozen=True)
class MarginalData:
    """Cross-products of a nested model in blocks of clients (and of therapists).

    Attributes
    ----------
    total : (p + 1, p + 1), ``[X, y]' [X, y]`` over all rows.
    n_rows : number of rows, as a float.
    zx : (blocks, q, p + 1, BLOCK), ``Z_i' [X_i, y_i]`` per client.
    gram : (blocks, q, q, BLOCK), ``Z_i' Z_i``. zw : (blocks, q, r, BLOCK), ``Z_i' W_i``.
    therapist : (blocks, BLOCK), therapist code of a client.
    wx : (therapist blocks, r, p + 1, BLOCK), ``W_j' [X_j, y_j]`` per therapist.
    ww : (therapist blocks, r, r, BLOCK), ``W_j' W_j``.
    """

    total: FloatArray
    n_rows: float
    zx: FloatArray
    gram: FloatArray
    zw: FloatArray
    therapist: IntArray
    wx: FloatArray
    ww: FloatArray

    def arrays(self) -> tuple[FloatArray | float | IntArray, ...]:
        """The fields in the order in which :func:`log_likelihood_and_gradient` takes them."""
        return (
            self.total,
            self.n_rows,
            self.zx,
            self.gram,
            self.zw,
            self.therapist,
            self.wx,
            self.ww,
        )


def pack(statistics: NestedStatistics) -> MarginalData:
    """Arrange sufficient statistics for :func:`log_likelihood_and_gradient`."""
    s = statistics
    zx = _blocks(s.cross[:, s.client_columns, :])
    n_therapists = s.n_therapists
    sums = np.zeros((n_therapists, s.therapist_columns.size, s.n_fixed + 1))
    if n_therapists:
        np.add.at(sums, s.therapist, s.cross[:, s.therapist_columns, :])
    wx = _blocks(sums)
    arrays = (
        s.cross.sum(axis=0),
        zx,
        zx[:, :, s.client_columns],
        zx[:, :, s.therapist_columns],
        _blocks(s.therapist),
        wx,
        wx[:, :, s.therapist_columns],
    )
    total, zx, gram, zw, therapist, wx, ww = (_read_only(array) for array in arrays)
    return MarginalData(total, float(s.n_rows.sum()), zx, gram, zw, therapist, wx, ww)


def _read_only(array: NDArray) -> NDArray:
    """PyTensor's data are read-only too: one compiled version serves both callers."""
    array = np.array(array, order="C")
    array.flags.writeable = False
    return array


def _blocks(values: NDArray) -> NDArray:
    """(n, ...) to (n_blocks, ..., BLOCK), filled up with zeros."""
    n_blocks = -(-values.shape[0] // BLOCK)
    padded = np.zeros((n_blocks * BLOCK, *values.shape[1:]), dtype=values.dtype)
    padded[: values.shape[0]] = values
    blocked = padded.reshape(n_blocks, BLOCK, *values.shape[1:])
    return np.ascontiguousarray(np.moveaxis(blocked, 1, -1))


Moments = tuple[
    float, float, FloatArray, FloatArray, float, FloatArray, FloatArray
]  # log-determinant, quadratic form, X'r, squares, trace, scores of both covariances
_compiled = njit(cache=True, fastmath=False, error_model="numpy", nogil=True)


@_compiled
def log_likelihood_and_gradient(
    beta: FloatArray,
    log_sigma: float,
    Lc: FloatArray,
    Lt: FloatArray,
    total: FloatArray,
    n_rows: float,
    zx: FloatArray,
    gram: FloatArray,
    zw: FloatArray,
    therapist: IntArray,
    wx: FloatArray,
    ww: FloatArray,
) -> tuple[float, FloatArray, float, FloatArray, FloatArray]:
    """Marginal log-likelihood and its derivatives.

    Parameters
    ----------
    beta : (p,) fixed effects. log_sigma : log residual SD.
    Lc : (q, q) lower Cholesky factor of the client covariance. Lt : (r, r), of the therapist one.
    total, n_rows, zx, gram, zw, therapist, wx, ww : see :class:`MarginalData`.

    Returns
    -------
    value, gradient by ``beta`` (p,), by ``log_sigma``, by ``Lc`` and by ``Lt`` (lower triangles).
    """
    gamma = np.ones(beta.size + 1)
    for k in range(beta.size):
        gamma[k] = -beta[k]
    sigma = np.exp(log_sigma)
    variance = sigma * sigma
    parts = _moments(gamma, Lc / sigma, Lt / sigma, total, zx, gram, zw, therapist, wx, ww)
    log_det, quadratic, xr, squares, trace, score_c, score_t = parts
    value = -0.5 * (
        n_rows * (np.log(2.0 * np.pi) + 2.0 * log_sigma) + log_det + quadratic / variance
    )
    return (
        value,
        xr / variance,
        squares[0] / variance + squares[1] - n_rows + trace,
        _by_factor(score_c, Lc, variance),
        _by_factor(score_t, Lt, variance),
    )


def log_likelihood_of_clusters(
    beta: FloatArray,
    log_sigma: float,
    Lc: FloatArray,
    Lt: FloatArray,
    statistics: NestedStatistics,
) -> FloatArray:
    """Contributions of the independent clusters: clients, or therapists in three-level models.

    Returns
    -------
    (n_clients,) or (n_therapists,), in the order of ``statistics``; their sum is the marginal
    log-likelihood.
    """
    s, variance = statistics, np.exp(2.0 * log_sigma)
    effects = effects_given_parameters(beta, log_sigma, Lc, Lt, s)
    n, log_det, quadratic = s.n_rows.astype(float), effects.log_det, effects.quadratic
    if s.n_therapists:
        n, log_det, quadratic = (
            np.bincount(s.therapist, weights=v, minlength=s.n_therapists)
            for v in (n, log_det, quadratic)
        )
        log_det = log_det + effects.therapist_log_det
        quadratic = quadratic - effects.therapist_explained
    return -0.5 * (n * (np.log(2.0 * np.pi) + 2.0 * log_sigma) + log_det + quadratic / variance)


@dataclass(frozen=True)
class ConditionalEffects:
    """Random effects given parameters and data: exact normal distributions.

    Attributes
    ----------
    projection : (n_clients, q), ``Z_i' (y_i - X_i beta)``. zw : (n_clients, q, r), ``Z_i' W_i``.
    D : (n_clients, q, q); client effects given therapist effects w have covariance
        ``variance * D`` and mean ``D (projection - zw w)``.
    log_det, quadratic : (n_clients,), of the client-level covariance, relative to the residual.
    therapist_mean : (n_therapists, r). therapist_cov : (n_therapists, r, r).
    therapist_log_det, therapist_explained : (n_therapists,).
    """

    projection: FloatArray
    zw: FloatArray
    D: FloatArray
    log_det: FloatArray
    quadratic: FloatArray
    therapist_mean: FloatArray
    therapist_cov: FloatArray
    therapist_log_det: FloatArray
    therapist_explained: FloatArray


def effects_given_parameters(
    beta: FloatArray,
    log_sigma: float,
    Lc: FloatArray,
    Lt: FloatArray,
    statistics: NestedStatistics,
) -> ConditionalEffects:
    """Distribution of client and therapist effects for one value of the parameters.

    Parameters as in :func:`log_likelihood_and_gradient`. Plain NumPy, written independently of the
    compiled likelihood, which is tested against it.
    """
    s, sigma = statistics, np.exp(log_sigma)
    gamma = np.append(-beta, 1.0)
    projected = s.cross @ gamma
    c, t = s.client_columns, s.therapist_columns
    z = projected[:, c]
    D, log_det = _batched_covariance(s.cross[:, c][:, :, c], Lc / sigma)
    Dz = np.einsum("icd,id->ic", D, z)
    zw, J = s.cross[:, c][:, :, t], s.n_therapists
    left, rest = np.zeros((J, t.size, t.size)), np.zeros((J, t.size))
    if J:
        Dzw = D @ zw
        np.add.at(left, s.therapist, s.cross[:, t][:, :, t] - np.swapaxes(zw, 1, 2) @ Dzw)
        np.add.at(rest, s.therapist, projected[:, t] - np.einsum("icr,ic->ir", Dzw, z))
    Dt, log_det_t = _batched_covariance(left, Lt / sigma)
    mean = np.einsum("jab,jb->ja", Dt, rest)
    return ConditionalEffects(
        projection=z,
        zw=zw,
        D=D,
        log_det=log_det,
        quadratic=projected @ gamma - np.einsum("ic,ic->i", z, Dz),
        therapist_mean=mean,
        therapist_cov=sigma**2 * Dt,
        therapist_log_det=log_det_t,
        therapist_explained=np.einsum("ja,ja->j", rest, mean),
    )


def _batched_covariance(gram: FloatArray, L: FloatArray) -> tuple[FloatArray, FloatArray]:
    """``L (I + L' G L)^-1 L'`` and ``log |I + L' G L|`` for each of n clusters."""
    K = np.eye(L.shape[0]) + L.T @ gram @ L
    return L @ np.linalg.solve(K, np.broadcast_to(L.T, K.shape)), np.linalg.slogdet(K)[1]


@_compiled
def _by_factor(score: FloatArray, L: FloatArray, variance: float) -> FloatArray:
    """Chain rule from a covariance ``L L'`` to the lower triangle of L."""
    out = np.zeros_like(L)
    for a in range(L.shape[0]):
        for b in range(a + 1):
            for c in range(L.shape[0]):
                by_covariance = score[0, a, c] / variance + score[1, a, c]
                out[a, b] += by_covariance * L[c, b] / variance
    return out


@_compiled
def _multiply(matrix: FloatArray, x: FloatArray) -> FloatArray:
    out = np.zeros(matrix.shape[0])
    for a in range(matrix.shape[0]):
        for b in range(matrix.shape[1]):
            out[a] += matrix[a, b] * x[b]
    return out


@_compiled
def _moments(
    gamma: FloatArray,
    Lc: FloatArray,
    Lt: FloatArray,
    total: FloatArray,
    zx: FloatArray,
    gram: FloatArray,
    zw: FloatArray,
    therapist: IntArray,
    wx: FloatArray,
    ww: FloatArray,
) -> Moments:
    """Everything the likelihood and its gradient need, in units of the residual variance.

    Scores of covariances come in two parts: ``[0]`` scales with 1 / sigma^2, ``[1]`` does not.
    """
    p, q, r = gamma.size - 1, Lc.shape[0], Lt.shape[0]
    products = _multiply(total, gamma)
    residual = (gamma * products).sum()
    xr = products[:p].copy()
    squares, trace = np.zeros(2), 0.0
    score_c, score_t = np.zeros((2, q, q)), np.zeros((2, r, r))
    if r == 0:
        D, K = np.empty((q, q, BLOCK)), np.empty((q, q, BLOCK))
        log_det, explained, spread = 0.0, 0.0, 0.0
        z = np.empty((q, BLOCK))
        for b in range(zx.shape[0]):
            log_det += _relative_covariance(gram[b], Lc, K, D)
            _project(zx[b], gamma, z)
            part = _score(zx[b], gram[b], D, z, xr, score_c)
            explained += part[0]
            spread += part[1]
            trace += part[2]
        squares[0] = residual - 2.0 * explained + spread
        return log_det, residual - explained, xr, squares, trace, score_c, score_t
    return _moments_three_levels(
        gamma, Lc, Lt, zx, gram, zw, therapist, wx, ww, xr, residual, squares, score_c, score_t
    )


@_compiled
def _moments_three_levels(
    gamma: FloatArray,
    Lc: FloatArray,
    Lt: FloatArray,
    zx: FloatArray,
    gram: FloatArray,
    zw: FloatArray,
    therapist: IntArray,
    wx: FloatArray,
    ww: FloatArray,
    xr: FloatArray,
    residual: float,
    squares: FloatArray,
    score_c: FloatArray,
    score_t: FloatArray,
) -> Moments:
    """As :func:`_moments`; therapists are integrated out after their clients."""
    q, r, p = Lc.shape[0], Lt.shape[0], gamma.size - 1
    D, R = np.empty_like(gram), np.empty_like(zw)
    left = ww.copy()  # W' (relative V)^-1 W
    squared = ww.copy()  # W' (relative V)^-2 W
    rest = np.zeros((wx.shape[0], r, BLOCK))  # W' (relative V)^-1 r
    for j in range(wx.shape[0]):
        _project(wx[j], gamma, rest[j])
    log_det, removed = _sweep_clients(gamma, Lc, zx, gram, zw, therapist, D, R, left, squared, rest)
    Dt, Kt = np.empty((r, r, BLOCK)), np.empty((r, r, BLOCK))
    mean, cov = np.zeros_like(rest), np.zeros_like(ww)
    nothing = np.zeros((r, 0, BLOCK))
    gained = 0.0
    for j in range(wx.shape[0]):
        log_det += _relative_covariance(left[j], Lt, Kt, Dt)
        gained += _score(nothing, left[j], Dt, rest[j], xr, score_t)[0]
        for a in range(r):
            for c in range(r):
                _copy(Dt[a, c], cov[j, a, c])
        _apply(Dt, rest[j], mean[j])
        residual_shift = _shift(wx[j], ww[j], mean[j], gamma, xr)
        squares[0] += residual_shift
        for a in range(r):
            for c in range(r):
                squares[1] += _dot(Dt[a, c], squared[j, a, c])
    explained, spread, trace = 0.0, 0.0, 0.0
    z = np.empty((q, BLOCK))
    own_mean, own_cov = np.empty((r, BLOCK)), np.empty((r, r, BLOCK))
    for b in range(zx.shape[0]):
        _project(zx[b], gamma, z)
        _of_therapist(therapist[b], mean, cov, own_mean, own_cov)
        for c in range(q):
            for a in range(r):
                _subtract_product(zw[b, c, a], own_mean[a], z[c])
        part = _score(zx[b], gram[b], D[b], z, xr, score_c)
        _add_uncertainty(R[b], own_cov, score_c)
        explained += part[0]
        spread += part[1]
        trace += part[2]
    squares[0] += residual - 2.0 * explained + spread
    return log_det, residual - removed - gained, xr[:p], squares, trace, score_c, score_t


@_compiled
def _sweep_clients(
    gamma: FloatArray,
    Lc: FloatArray,
    zx: FloatArray,
    gram: FloatArray,
    zw: FloatArray,
    therapist: IntArray,
    D: FloatArray,
    R: FloatArray,
    left: FloatArray,
    squared: FloatArray,
    rest: FloatArray,
) -> tuple[float, float]:
    """Integrate clients out of the sums of their therapists; returns log-determinant and z'Dz."""
    q, r = zw.shape[1], zw.shape[2]
    K, z, Dz = np.empty((q, q, BLOCK)), np.empty((q, BLOCK)), np.empty((q, BLOCK))
    Q = np.empty((r, q, BLOCK))
    log_det, removed = 0.0, 0.0
    for b in range(zx.shape[0]):
        log_det += _relative_covariance(gram[b], Lc, K, D[b])
        _project(zx[b], gamma, z)
        _apply(D[b], z, Dz)
        for c in range(q):
            removed += _dot(z[c], Dz[c])
        for a in range(r):
            _apply(D[b], zw[b, :, a], Q[a])
            for c in range(q):
                _copy(zw[b, c, a], R[b, c, a])
                for d in range(q):
                    _subtract_product(gram[b, c, d], Q[a, d], R[b, c, a])
        for a in range(r):
            _add_to_therapist(therapist[b], Q[a], z, rest, a)
            for d in range(r):
                for c in range(q):
                    _add_pair(therapist[b], Q[a, c], zw[b, c, d], R[b, c, d], left, squared, a, d)
    # W'V^-2 W = W'W - 2 W'Z D Z'W + W'Z D G D Z'W; with G D Z'W = Z'W - R that is
    # W'W - W'Z D Z'W - (W'Z D) R, which _add_pair accumulates.
    return log_det, removed


@_compiled
def _add_to_therapist(
    therapist: IntArray, Q: FloatArray, z: FloatArray, rest: FloatArray, a: int
) -> None:
    for c in range(Q.shape[0]):
        for k in range(BLOCK):
            j = therapist[k]
            rest[j // BLOCK, a, j % BLOCK] -= Q[c, k] * z[c, k]


@_compiled
def _add_pair(
    therapist: IntArray,
    Q: FloatArray,
    zw: FloatArray,
    R: FloatArray,
    left: FloatArray,
    squared: FloatArray,
    a: int,
    d: int,
) -> None:
    for k in range(BLOCK):
        j = therapist[k]
        left[j // BLOCK, a, d, j % BLOCK] -= Q[k] * zw[k]
        squared[j // BLOCK, a, d, j % BLOCK] -= Q[k] * (zw[k] + R[k])


@_compiled
def _of_therapist(
    therapist: IntArray,
    mean: FloatArray,
    cov: FloatArray,
    own_mean: FloatArray,
    own_cov: FloatArray,
) -> None:
    """Posterior mean and covariance of each client's therapist."""
    for k in range(BLOCK):
        j = therapist[k]
        for a in range(mean.shape[1]):
            own_mean[a, k] = mean[j // BLOCK, a, j % BLOCK]
            for d in range(mean.shape[1]):
                own_cov[a, d, k] = cov[j // BLOCK, a, d, j % BLOCK]


@_compiled
def _shift(
    wx: FloatArray, ww: FloatArray, mean: FloatArray, gamma: FloatArray, xr: FloatArray
) -> float:
    """Take the therapists' means out of X'r; returns the change of the residual sum of squares."""
    r, p = ww.shape[0], gamma.size - 1
    wr = np.empty((r, BLOCK))
    _project(wx, gamma, wr)
    change = 0.0
    for a in range(r):
        change -= 2.0 * _dot(wr[a], mean[a])
        for k in range(p):
            xr[k] -= _dot(wx[a, k], mean[a])
        for d in range(r):
            change += _triple(mean[a], ww[a, d], mean[d])
    return change


@_compiled
def _add_uncertainty(R: FloatArray, cov: FloatArray, score: FloatArray) -> None:
    """Uncertainty about therapists enters the score of the client covariance."""
    q, r = R.shape[0], R.shape[1]
    for c in range(q):
        for d in range(q):
            for a in range(r):
                for e in range(r):
                    score[1, c, d] += _triple(R[c, a], cov[a, e], R[d, e])


@_compiled
def _relative_covariance(gram: FloatArray, L: FloatArray, K: FloatArray, D: FloatArray) -> float:
    """``D = L (I + L' G L)^-1 L'`` per client; returns the sum of ``log |I + L' G L|``."""
    q = L.shape[0]
    for a in range(q):
        for b in range(a + 1):
            _fill(K[a, b], 1.0 if a == b else 0.0)
            for c in range(a, q):
                for d in range(b, q):
                    _add_scaled(L[c, a] * L[d, b], gram[c, d], K[a, b])
            _copy(K[a, b], K[b, a])
    log_det = _invert(K)
    for c in range(q):
        for d in range(c + 1):
            _fill(D[c, d], 0.0)
            for a in range(c + 1):
                for b in range(d + 1):
                    _add_scaled(L[c, a] * L[d, b], K[a, b], D[c, d])
            _copy(D[c, d], D[d, c])
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
def _project(zx: FloatArray, gamma: FloatArray, z: FloatArray) -> None:
    """``Z' (y - X beta)`` per client."""
    for c in range(zx.shape[0]):
        _fill(z[c], 0.0)
        for k in range(gamma.size):
            _add_scaled(gamma[k], zx[c, k], z[c])


@_compiled
def _score(
    zx: FloatArray,
    gram: FloatArray,
    D: FloatArray,
    z: FloatArray,
    xr: FloatArray,
    score: FloatArray,
) -> tuple[float, float, float]:
    """Posterior means of one block of effects and their part of the gradient.

    Adds to ``xr`` (``X'r`` less ``X'Z a``) and to ``score``; returns z'a, a'Ga and tr(DG).
    """
    q, p = D.shape[0], min(zx.shape[1], xr.size)
    a, e, T = np.empty((q, BLOCK)), z.copy(), np.empty((q, q, BLOCK))
    _apply(D, z, a)
    explained, spread, trace = 0.0, 0.0, 0.0
    for c in range(q):
        for d in range(q):
            _subtract_product(gram[c, d], a[d], e[c])
            trace += _dot(D[c, d], gram[c, d])
            _fill(T[c, d], 1.0 if c == d else 0.0)
            for f in range(q):
                _subtract_product(D[c, f], gram[f, d], T[c, d])
        for k in range(p):
            xr[k] -= _dot(zx[c, k], a[c])
        explained += _dot(z[c], a[c])
    for c in range(q):
        spread += _dot(a[c], z[c]) - _dot(a[c], e[c])
        for d in range(q):
            score[0, c, d] += _dot(e[c], e[d])
            for f in range(q):  # G (I - D G)
                score[1, c, d] -= _dot(gram[c, f], T[f, d])
    return explained, spread, trace


@_compiled
def _apply(D: FloatArray, z: FloatArray, a: FloatArray) -> None:
    """``a = D z`` per client."""
    for c in range(D.shape[0]):
        for k in range(BLOCK):
            a[c, k] = 0.0
        for d in range(D.shape[0]):
            for k in range(BLOCK):
                a[c, k] += D[c, d, k] * z[d, k]


@_compiled
def _fill(out: FloatArray, value: float) -> None:
    for k in range(BLOCK):
        out[k] = value


@_compiled
def _copy(x: FloatArray, out: FloatArray) -> None:
    for k in range(BLOCK):
        out[k] = x[k]


@_compiled
def _add_scaled(factor: float, x: FloatArray, out: FloatArray) -> None:
    for k in range(BLOCK):
        out[k] += factor * x[k]


@_compiled
def _subtract_product(x: FloatArray, y: FloatArray, out: FloatArray) -> None:
    for k in range(BLOCK):
        out[k] -= x[k] * y[k]


@_compiled
def _triple(x: FloatArray, y: FloatArray, z: FloatArray) -> float:
    total = 0.0
    for k in range(BLOCK):
        total += x[k] * y[k] * z[k]
    return total


@_compiled
def _dot(x: FloatArray, y: FloatArray) -> float:
    """Sum of products in four fixed strands: fast without reordering by the compiler."""
    s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
    for k in range(0, BLOCK, 4):
        s0 += x[k] * y[k]
        s1 += x[k + 1] * y[k + 1]
        s2 += x[k + 2] * y[k + 2]
        s3 += x[k + 3] * y[k + 3]
    return (s0 + s1) + (s2 + s3)
