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

from alliance.likelihood.client_blocks import (
    BLOCK,
    apply,
    copy,
    dot,
    fill,
    in_blocks,
    project,
    relative_covariance,
    subtract_product,
    triple,
)
from alliance.likelihood.statistics import NestedStatistics

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


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
    zx = in_blocks(s.cross[:, s.client_columns, :])
    n_therapists = s.n_therapists
    sums = np.zeros((n_therapists, s.therapist_columns.size, s.n_fixed + 1))
    if n_therapists:
        np.add.at(sums, s.therapist, s.cross[:, s.therapist_columns, :])
    wx = in_blocks(sums)
    arrays = (
        s.cross.sum(axis=0),
        zx,
        zx[:, :, s.client_columns],
        zx[:, :, s.therapist_columns],
        in_blocks(s.therapist),
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
            log_det += relative_covariance(gram[b], Lc, K, D)
            project(zx[b], gamma, z)
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
        project(wx[j], gamma, rest[j])
    log_det, removed = _sweep_clients(gamma, Lc, zx, gram, zw, therapist, D, R, left, squared, rest)
    Dt, Kt = np.empty((r, r, BLOCK)), np.empty((r, r, BLOCK))
    mean, cov = np.zeros_like(rest), np.zeros_like(ww)
    nothing = np.zeros((r, 0, BLOCK))
    gained = 0.0
    for j in range(wx.shape[0]):
        log_det += relative_covariance(left[j], Lt, Kt, Dt)
        gained += _score(nothing, left[j], Dt, rest[j], xr, score_t)[0]
        for a in range(r):
            for c in range(r):
                copy(Dt[a, c], cov[j, a, c])
        apply(Dt, rest[j], mean[j])
        residual_shift = _shift(wx[j], ww[j], mean[j], gamma, xr)
        squares[0] += residual_shift
        for a in range(r):
            for c in range(r):
                squares[1] += dot(Dt[a, c], squared[j, a, c])
    explained, spread, trace = 0.0, 0.0, 0.0
    z = np.empty((q, BLOCK))
    own_mean, own_cov = np.empty((r, BLOCK)), np.empty((r, r, BLOCK))
    for b in range(zx.shape[0]):
        project(zx[b], gamma, z)
        _of_therapist(therapist[b], mean, cov, own_mean, own_cov)
        for c in range(q):
            for a in range(r):
                subtract_product(zw[b, c, a], own_mean[a], z[c])
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
        log_det += relative_covariance(gram[b], Lc, K, D[b])
        project(zx[b], gamma, z)
        apply(D[b], z, Dz)
        for c in range(q):
            removed += dot(z[c], Dz[c])
        for a in range(r):
            apply(D[b], zw[b, :, a], Q[a])
            for c in range(q):
                copy(zw[b, c, a], R[b, c, a])
                for d in range(q):
                    subtract_product(gram[b, c, d], Q[a, d], R[b, c, a])
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
    project(wx, gamma, wr)
    change = 0.0
    for a in range(r):
        change -= 2.0 * dot(wr[a], mean[a])
        for k in range(p):
            xr[k] -= dot(wx[a, k], mean[a])
        for d in range(r):
            change += triple(mean[a], ww[a, d], mean[d])
    return change


@_compiled
def _add_uncertainty(R: FloatArray, cov: FloatArray, score: FloatArray) -> None:
    """Uncertainty about therapists enters the score of the client covariance."""
    q, r = R.shape[0], R.shape[1]
    for c in range(q):
        for d in range(q):
            for a in range(r):
                for e in range(r):
                    score[1, c, d] += triple(R[c, a], cov[a, e], R[d, e])


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
    apply(D, z, a)
    explained, spread, trace = 0.0, 0.0, 0.0
    for c in range(q):
        for d in range(q):
            subtract_product(gram[c, d], a[d], e[c])
            trace += dot(D[c, d], gram[c, d])
            fill(T[c, d], 1.0 if c == d else 0.0)
            for f in range(q):
                subtract_product(D[c, f], gram[f, d], T[c, d])
        for k in range(p):
            xr[k] -= dot(zx[c, k], a[c])
        explained += dot(z[c], a[c])
    for c in range(q):
        spread += dot(a[c], z[c]) - dot(a[c], e[c])
        for d in range(q):
            score[0, c, d] += dot(e[c], e[d])
            for f in range(q):  # G (I - D G)
                score[1, c, d] -= dot(gram[c, f], T[f, d])
    return explained, spread, trace
