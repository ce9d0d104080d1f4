"""ML and REML criterion of a nested Gaussian model, profiled over the fixed effects.

Rows in clients in therapists::

    y = X beta + Z_client b + Z_therapist a + e,   b ~ N(0, s2 D),  a ~ N(0, s2 G),  e ~ N(0, s2 I)

where the columns of Z are columns of X. With the relative Cholesky factors ``D = L L'`` and
``G = M M'`` (Bates, Maechler, Bolker & Walker 2015, Journal of Statistical Software 67(1),
section 3) as parameters theta, the Woodbury identity is applied per client and then, on sums over
clients, per therapist. One evaluation costs O(clients), whatever the number of sessions.

The gradient is analytic. With ``K = (D^-1 + B)^-1`` and ``P = (I + D B)^-1`` for the cross-product
``B`` of a group's random-effect columns, ``dK = P dD P'`` and ``d log|I + D B| = <B P, dD>``; for
the outer level ``dS' = T dS T'`` with ``T = I - S_c K E'``.
"""

# ruff: noqa: ANN001, ANN202, PLR0912, PLR0917
# (compiled kernels: plain loops over arrays, typed by numba)

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from alliance.likelihood.statistics import NestedStatistics

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Evaluation:
    """The criterion at one theta.

    Attributes
    ----------
    deviance : -2 (restricted) log-likelihood; profiled over sigma unless sigma was given.
    gradient : (n_theta,) derivative of ``deviance``.
    beta : (p,) generalised least squares. rss : penalised residual sum of squares r2.
    information : (p, p) X' V^-1 X with V relative to sigma^2.
    client_gradient, therapist_gradient : derivative with respect to D and G (symmetric); a
        covariance matrix is optimal when these are non-negative definite on its null space.
    """

    deviance: float
    gradient: FloatArray
    beta: FloatArray
    rss: float
    information: FloatArray
    client_gradient: FloatArray
    therapist_gradient: FloatArray


@dataclass(frozen=True)
class ProfiledModel:
    """What the criterion needs of the data, laid out for speed.

    Attributes
    ----------
    total : (d, d) sum of the cross-products, d = p + 1. n_rows : rows in all.
    blocks : (n_clients, d, q) columns of each client's cross-product with random effects.
    outer : (n_therapists, d, r) the same for the therapist's columns, summed over clients.
    therapist : (n_clients,) ascending codes.
    client_columns (q,), therapist_columns (r,) : columns of X with random effects.
    """

    total: FloatArray
    n_rows: int
    blocks: FloatArray
    outer: FloatArray
    therapist: IntArray
    client_columns: IntArray
    therapist_columns: IntArray

    @property
    def n_fixed(self) -> int:
        return int(self.total.shape[0]) - 1

    @property
    def n_theta(self) -> int:
        return _triangle(self.client_columns.size) + _triangle(self.therapist_columns.size)

    def factors(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Lower triangular relative Cholesky factors at client and therapist level."""
        split = _triangle(self.client_columns.size)
        return (
            lower_triangle(theta[:split], self.client_columns.size),
            lower_triangle(theta[split:], self.therapist_columns.size),
        )

    def diagonal(self) -> NDArray[np.bool_]:
        """Which elements of theta lie on a diagonal (and are bounded by zero)."""
        q, r = self.client_columns.size, self.therapist_columns.size
        return np.concatenate([_diagonal_of(q), _diagonal_of(r)])


def prepare(statistics: NestedStatistics) -> ProfiledModel:
    """Lay out the sufficient statistics for :func:`evaluate`."""
    cross = statistics.cross
    r = statistics.therapist_columns.size
    outer = np.zeros((statistics.n_therapists, cross.shape[1], r))
    if r:
        np.add.at(outer, statistics.therapist, cross[:, :, statistics.therapist_columns])
    return ProfiledModel(
        total=cross.sum(axis=0),
        n_rows=int(statistics.n_rows.sum()),
        blocks=np.ascontiguousarray(cross[:, :, statistics.client_columns]),
        outer=outer,
        therapist=statistics.therapist,
        client_columns=statistics.client_columns,
        therapist_columns=statistics.therapist_columns,
    )


def evaluate(
    model: ProfiledModel, theta: FloatArray, reml: bool = True, sigma: float | None = None
) -> Evaluation:
    """Criterion, gradient and generalised least squares estimates at ``theta``.

    Parameters
    ----------
    theta : (n_theta,) row-wise lower triangles of the relative factors, client level first.
    sigma : residual SD; left out, the criterion is profiled over it.

    Raises
    ------
    scipy.linalg.LinAlgError
        If the fixed-effect columns are collinear.
    """
    inner, outer = model.factors(theta)
    shrink, sums, A, log_det = _client_pass(
        model.blocks, model.client_columns, inner, model.therapist, model.outer,
        model.therapist_columns, model.total,
    )  # fmt: skip
    outer_shrink, A, log_det = _therapist_pass(sums, model.therapist_columns, outer, A, log_det)
    p = model.n_fixed
    root = cholesky(A[:p, :p], lower=True)
    beta = solve_triangular(root, solve_triangular(root, A[:p, p], lower=True), lower=True, trans=1)
    direction = np.append(-beta, 1.0)
    rss = float(direction @ A @ direction)
    if not rss > 0:
        raise LinAlgError("the residual sum of squares is not positive")
    freedom = model.n_rows - p if reml else model.n_rows
    variance = rss / freedom if sigma is None else sigma**2
    deviance = freedom * np.log(2 * np.pi * variance) + rss / variance + log_det
    whiten = np.zeros((p, p))
    if reml:
        deviance += 2 * np.log(np.diag(root)).sum()
        whiten = np.ascontiguousarray(solve_triangular(root, np.eye(p), lower=True))
    weighted = direction / np.sqrt(variance)
    by_client, by_therapist = _gradient_pass(
        model.blocks, model.client_columns, shrink, model.therapist, sums,
        model.therapist_columns, outer_shrink, weighted, whiten, reml,
    )  # fmt: skip
    slopes = [_pack(2 * by_client @ inner), _pack(2 * by_therapist @ outer)]
    return Evaluation(
        deviance=float(deviance),
        gradient=np.concatenate(slopes),
        beta=beta,
        rss=rss,
        information=A[:p, :p],
        client_gradient=by_client,
        therapist_gradient=by_therapist,
    )


@dataclass(frozen=True)
class Predictions:
    """Conditional means and relative variances of the random effects, given theta and beta.

    Attributes
    ----------
    client : (n_clients, q), ``client_variance`` (n_clients, q, q) in units of sigma^2 and given
        the therapist's effect. therapist : (n_therapists, r).
    """

    client: FloatArray
    client_variance: FloatArray
    therapist: FloatArray


def predict_effects(model: ProfiledModel, theta: FloatArray, beta: FloatArray) -> Predictions:
    """Best linear unbiased predictions of the random effects, clients in the order of blocks."""
    inner, outer = model.factors(theta)
    shrink, sums, A, log_det = _client_pass(
        model.blocks, model.client_columns, inner, model.therapist, model.outer,
        model.therapist_columns, model.total,
    )  # fmt: skip
    outer_shrink, _, _ = _therapist_pass(sums, model.therapist_columns, outer, A, log_det)
    direction = np.append(-beta, 1.0)
    by_therapist = np.einsum("jab,jdb,d->ja", outer_shrink, sums, direction)
    scores = np.einsum("idq,d->iq", model.blocks, direction)
    if model.therapist_columns.size:
        rows = model.blocks[:, model.therapist_columns, :]
        scores = scores - np.einsum("irq,ir->iq", rows, by_therapist[model.therapist])
    return Predictions(np.einsum("iab,ib->ia", shrink, scores), shrink, by_therapist)


def lower_triangle(packed: FloatArray, size: int) -> FloatArray:
    """Square lower triangular matrix from its row-wise elements."""
    factor = np.zeros((size, size))
    factor[np.tril_indices(size)] = packed
    return factor


def _pack(matrix: FloatArray) -> FloatArray:
    return matrix[np.tril_indices(matrix.shape[0])]


def _triangle(size: int) -> int:
    return size * (size + 1) // 2


def _diagonal_of(size: int) -> NDArray[np.bool_]:
    rows, columns = np.tril_indices(size)
    return rows == columns


@njit(cache=True, fastmath=False)
def _shrinkage(B: FloatArray, factor: FloatArray, root: FloatArray, K: FloatArray) -> float:
    """K = L (I + L'BL)^-1 L' into ``K``; returns log|I + L'BL|. ``root`` is work space."""
    q = factor.shape[0]
    middle, half = root[0], root[1]
    for a in range(q):
        for b in range(a + 1):
            value = 1.0 if a == b else 0.0
            for c in range(a, q):
                for e in range(b, q):
                    value += factor[c, a] * B[c, e] * factor[e, b]
            middle[a, b] = value
    log_det = 0.0
    for a in range(q):
        for b in range(a + 1):
            value = middle[a, b]
            for c in range(b):
                value -= middle[a, c] * middle[b, c]
            if a == b:
                middle[a, a] = np.sqrt(value)
                log_det += np.log(value)
            else:
                middle[a, b] = value / middle[b, b]
    for column in range(q):  # half = middle^-1 L'
        for a in range(q):
            value = factor[column, a]
            for c in range(a):
                value -= middle[a, c] * half[c, column]
            half[a, column] = value / middle[a, a]
    for a in range(q):
        for b in range(q):
            value = 0.0
            for c in range(q):
                value += half[c, a] * half[c, b]
            K[a, b] = value
    return log_det


@njit(cache=True, fastmath=False)
def _client_pass(blocks, columns, factor, therapist, outer, outer_columns, total):
    """First Woodbury step: shrinkage per client, reduced totals and reduced therapist sums."""
    m, d, q = blocks.shape
    r = outer_columns.size
    shrink = np.empty((m, q, q))
    sums = outer.copy()
    A = total.copy()
    B, root, CK = np.empty((q, q)), np.empty((2, q, q)), np.empty((d, q))
    log_det = 0.0
    for i in range(m):
        C = blocks[i]
        for a in range(q):
            for b in range(q):
                B[a, b] = C[columns[a], b]
        K = shrink[i]
        log_det += _shrinkage(B, factor, root, K)
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
        for k in range(d):
            for h in range(r):
                value = 0.0
                for a in range(q):
                    value += CK[k, a] * C[outer_columns[h], a]
                sums[therapist[i], k, h] -= value
    for k in range(d):
        for h in range(k):
            A[h, k] = A[k, h]
    return shrink, sums, A, log_det


@njit(cache=True, fastmath=False)
def _therapist_pass(sums, columns, factor, A, log_det):
    """Second Woodbury step, on the reduced sums of each therapist."""
    n, d, r = sums.shape
    shrink = np.empty((n, r, r))
    B, root = np.empty((r, r)), np.empty((2, r, r))
    for j in range(n):
        S = sums[j]
        for a in range(r):
            for b in range(r):
                B[a, b] = S[columns[a], b]
        K = shrink[j]
        log_det += _shrinkage(B, factor, root, K)
        for k in range(d):
            for h in range(d):
                value = 0.0
                for a in range(r):
                    for b in range(r):
                        value += S[k, a] * K[a, b] * S[h, b]
                A[k, h] -= value
    return shrink, A, log_det


@njit(cache=True, fastmath=False)
def _group_gradient(C, columns, K, u, whiten, reml, B, work, z, extra, out):
    """Add one group's derivative with respect to its covariance matrix to ``out``.

    ``C`` (d, q) is the (transformed) cross-product, ``B`` its own random-effect block and
    ``extra`` (q, q) what comes from the outer level's determinant.
    """
    d, q = C.shape
    p = d - 1
    inner = work[0]
    for a in range(q):
        value = 0.0
        for k in range(d):
            value += C[k, a] * u[k]
        z[a] = value
    for a in range(q):
        for b in range(q):
            inner[a, b] = z[a] * z[b] + extra[a, b]
    if reml:
        for k in range(p):
            for a in range(q):
                value = 0.0
                for h in range(k + 1):
                    value += whiten[k, h] * C[h, a]
                z[a] = value
            for a in range(q):
                for b in range(q):
                    inner[a, b] += z[a] * z[b]
    P, left = work[1], work[2]
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


@njit(cache=True, fastmath=False)
def _gradient_pass(
    blocks, columns, shrink, therapist, sums, outer_columns, outer_shrink, u, whiten, reml
):  # fmt: skip
    """Derivatives of the criterion with respect to both relative covariance matrices."""
    m, d, q = blocks.shape
    n, _, r = sums.shape
    by_client, by_therapist = np.zeros((q, q)), np.zeros((r, r))
    B, work, z = np.empty((q, q)), np.empty((3, q, q)), np.empty(q)
    moved, extra = np.empty((d, q)), np.zeros((q, q))
    for i in range(m):
        C = blocks[i]
        for a in range(q):
            for b in range(q):
                B[a, b] = C[columns[a], b]
        if r == 0:
            _group_gradient(C, columns, shrink[i], u, whiten, reml, B, work, z, extra, by_client)
            continue
        S, K = sums[therapist[i]], outer_shrink[therapist[i]]
        for a in range(q):
            for k in range(d):
                value = C[k, a]
                for h in range(r):
                    for g in range(r):
                        value -= S[k, h] * K[h, g] * C[outer_columns[g], a]
                moved[k, a] = value
            for b in range(q):
                value = 0.0
                for h in range(r):
                    for g in range(r):
                        value += C[outer_columns[h], a] * K[h, g] * C[outer_columns[g], b]
                extra[a, b] = value
        _group_gradient(moved, columns, shrink[i], u, whiten, reml, B, work, z, extra, by_client)
    B_t, work_t, z_t = np.empty((r, r)), np.empty((3, r, r)), np.empty(r)
    none = np.zeros((r, r))
    for j in range(n):
        for a in range(r):
            for b in range(r):
                B_t[a, b] = sums[j, outer_columns[a], b]
        _group_gradient(
            sums[j], outer_columns, outer_shrink[j], u, whiten, reml, B_t, work_t, z_t, none,
            by_therapist,
        )  # fmt: skip
    return by_client, by_therapist
