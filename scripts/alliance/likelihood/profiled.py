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

# ruff: noqa: ANN001, ANN202
# (compiled kernels: plain loops over arrays, typed by numba; `size` and `upper` are tuples as long
# as there are random effects per level, so that the compiler knows the lengths and unrolls)

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.linalg import LinAlgError

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

    @property
    def sizes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Tuples as long as there are random effects per level: their lengths are known to the
        compiler, which unrolls the loops over them."""
        return (0,) * self.client_columns.size, (0,) * self.therapist_columns.size

    def factors(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Lower triangular relative Cholesky factors at client and therapist level."""
        split = _triangle(self.client_columns.size)
        return (
            lower_triangle(theta[:split], self.client_columns.size),
            lower_triangle(theta[split : self.n_theta], self.therapist_columns.size),
        )

    def diagonal(self) -> NDArray[np.bool_]:
        """Which elements of theta lie on a diagonal (and are bounded by zero)."""
        q, r = self.client_columns.size, self.therapist_columns.size
        return np.concatenate([_diagonal_of(q), _diagonal_of(r)])


def prepare(statistics: NestedStatistics) -> ProfiledModel:
    """Lay out the sufficient statistics for :func:`evaluate`."""
    cross = statistics.cross
    outer = np.zeros((0, cross.shape[1], 0))
    if statistics.therapist_columns.size:  # codes ascend and none is left out
        first = np.flatnonzero(np.diff(statistics.therapist, prepend=-1))
        outer = np.add.reduceat(cross[:, :, statistics.therapist_columns], first, axis=0)
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
        model.therapist_columns, model.total, *model.sizes,
    )  # fmt: skip
    outer_shrink, A, log_det = _therapist_pass(
        sums, model.therapist_columns, outer, A, log_det, model.sizes[1]
    )
    p = model.n_fixed
    beta, rss, whiten, log_det_fixed = _fixed_effects(A)
    if not rss > 0:
        raise LinAlgError("fixed-effect columns are collinear or the outcome is fitted exactly")
    freedom = model.n_rows - p if reml else model.n_rows
    variance = rss / freedom if sigma is None else sigma**2
    deviance = freedom * np.log(2 * np.pi * variance) + rss / variance + log_det
    if reml:
        deviance += log_det_fixed
    direction = np.append(-beta, 1.0)
    weighted = direction / np.sqrt(variance)
    by_client, by_therapist = _gradient_pass(
        model.blocks, model.client_columns, shrink, model.therapist, sums,
        model.therapist_columns, outer_shrink, weighted, whiten, reml, *model.sizes,
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


def cross_derivative(
    model: ProfiledModel,
    theta: FloatArray,
    at: Evaluation,
    reml: bool,
    sigma: float | None = None,
) -> FloatArray:
    """Derivative of the criterion with respect to the cross-products of every client.

    Parameters
    ----------
    at : the criterion at ``theta``, with the same ``sigma``.

    Returns
    -------
    (n_clients, d, d) symmetric: the deviance changes by ``sum_i <this_i, dC_i>``. The total after
    a Woodbury step changes by ``T' dC T`` with ``T = I - E K E' C``, E choosing the columns with
    random effects; one step for clients, one for therapists.
    """
    inner, outer = model.factors(theta)
    shrink, sums, A, log_det = _client_pass(
        model.blocks, model.client_columns, inner, model.therapist, model.outer,
        model.therapist_columns, model.total, *model.sizes,
    )  # fmt: skip
    outer_shrink, _, _ = _therapist_pass(
        sums, model.therapist_columns, outer, A, log_det, model.sizes[1]
    )
    d, p = model.total.shape[0], model.n_fixed
    variance = at.rss / (model.n_rows - p if reml else model.n_rows) if sigma is None else sigma**2
    direction = np.append(-at.beta, 1.0)
    by_total = np.outer(direction, direction) / variance
    if reml:
        by_total[:p, :p] += np.linalg.inv(at.information)
    upper = by_total[None]
    if model.therapist_columns.size:
        upper = _pull_back(by_total[None], sums, outer_shrink, model.therapist_columns, d)
        upper = upper[model.therapist]
    return _pull_back(upper, model.blocks, shrink, model.client_columns, d)


def _pull_back(
    by_reduced: FloatArray, blocks: FloatArray, shrink: FloatArray, columns: IntArray, d: int
) -> FloatArray:
    """Derivative by what a Woodbury step took in, from that by what came out of it."""
    moved = np.broadcast_to(np.eye(d), (len(blocks), d, d)).copy()
    moved[:, columns, :] -= np.einsum("iab,idb->iad", shrink, blocks)
    found = moved @ by_reduced @ moved.transpose(0, 2, 1)
    found[:, columns[:, None], columns] += shrink
    return found


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
        model.therapist_columns, model.total, *model.sizes,
    )  # fmt: skip
    outer_shrink, _, _ = _therapist_pass(
        sums, model.therapist_columns, outer, A, log_det, model.sizes[1]
    )
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
    factor[_tril(size)] = packed
    return factor


@cache
def _tril(size: int) -> tuple[IntArray, IntArray]:
    return np.tril_indices(size)


def _pack(matrix: FloatArray) -> FloatArray:
    return matrix[_tril(matrix.shape[0])]


def _triangle(size: int) -> int:
    return size * (size + 1) // 2


def _diagonal_of(size: int) -> NDArray[np.bool_]:
    rows, columns = np.tril_indices(size)
    return rows == columns


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
def _fixed_effects(A: FloatArray) -> tuple[FloatArray, float, FloatArray, float]:
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
def _client_pass(blocks, columns, factor, therapist, outer, outer_columns, total, size, upper):
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
def _therapist_pass(sums, columns, factor, A, log_det, size):
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
def _gradient_pass(
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
):
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
