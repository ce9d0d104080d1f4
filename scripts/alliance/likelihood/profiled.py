"""ML and REML criterion of a nested Gaussian model, profiled over the fixed effects.

Rows in clients in therapists::

    y = X beta + Z_client b + Z_therapist a + e,   b ~ N(0, s2 D),  a ~ N(0, s2 G),  e ~ N(0, s2 I)

where the columns of Z are columns of X. With the relative Cholesky factors ``D = L L'`` and
``G = M M'`` (Bates, Maechler, Bolker & Walker 2015, Journal of Statistical Software 67(1),
section 3) as parameters theta, the Woodbury identity is applied per client and then, on sums over
clients, per therapist. One evaluation costs O(clients), whatever the number of sessions.

The gradient is analytic (see ``woodbury``, which holds the passes over clients and therapists).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError

from alliance.likelihood.statistics import NestedStatistics
from alliance.likelihood.woodbury import client_pass, fixed_effects, gradient_pass, therapist_pass

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


class _Swept(NamedTuple):
    """Both Woodbury steps at one theta.

    Attributes
    ----------
    shrink : (n_clients, q, q). outer_shrink : (n_therapists, r, r); ``(D^-1 + B)^-1`` of each.
    sums : (n_therapists, d, r) ``outer`` of the model less what clients explain.
    reduced : (d, d) ``[X, y]' V^-1 [X, y]``. log_det : log-determinant of V.
    """

    shrink: FloatArray
    sums: FloatArray
    outer_shrink: FloatArray
    reduced: FloatArray
    log_det: float


def _sweep(model: ProfiledModel, inner: FloatArray, outer: FloatArray) -> _Swept:
    shrink, sums, A, log_det = client_pass(
        model.blocks, model.client_columns, inner, model.therapist, model.outer,
        model.therapist_columns, model.total, *model.sizes,
    )  # fmt: skip
    outer_shrink, A, log_det = therapist_pass(
        sums, model.therapist_columns, outer, A, log_det, model.sizes[1]
    )
    return _Swept(shrink, sums, outer_shrink, A, log_det)


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
    swept = _sweep(model, inner, outer)
    p = model.n_fixed
    beta, rss, whiten, log_det_fixed = fixed_effects(swept.reduced)
    if not rss > 0:
        raise LinAlgError("fixed-effect columns are collinear or the outcome is fitted exactly")
    freedom = model.n_rows - p if reml else model.n_rows
    variance = rss / freedom if sigma is None else sigma**2
    deviance = freedom * np.log(2 * np.pi * variance) + rss / variance + swept.log_det
    if reml:
        deviance += log_det_fixed
    direction = np.append(-beta, 1.0)
    weighted = direction / np.sqrt(variance)
    by_client, by_therapist = gradient_pass(
        model.blocks, model.client_columns, swept.shrink, model.therapist, swept.sums,
        model.therapist_columns, swept.outer_shrink, weighted, whiten, reml, *model.sizes,
    )  # fmt: skip
    slopes = [_pack(2 * by_client @ inner), _pack(2 * by_therapist @ outer)]
    return Evaluation(
        deviance=float(deviance),
        gradient=np.concatenate(slopes),
        beta=beta,
        rss=rss,
        information=swept.reduced[:p, :p],
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
    swept = _sweep(model, *model.factors(theta))
    d, p = model.total.shape[0], model.n_fixed
    variance = at.rss / (model.n_rows - p if reml else model.n_rows) if sigma is None else sigma**2
    direction = np.append(-at.beta, 1.0)
    by_total = np.outer(direction, direction) / variance
    if reml:
        by_total[:p, :p] += np.linalg.inv(at.information)
    upper = by_total[None]
    if model.therapist_columns.size:
        upper = _pull_back(
            by_total[None], swept.sums, swept.outer_shrink, model.therapist_columns, d
        )
        upper = upper[model.therapist]
    return _pull_back(upper, model.blocks, swept.shrink, model.client_columns, d)


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
    swept = _sweep(model, *model.factors(theta))
    direction = np.append(-beta, 1.0)
    by_therapist = np.einsum("jab,jdb,d->ja", swept.outer_shrink, swept.sums, direction)
    scores = np.einsum("idq,d->iq", model.blocks, direction)
    if model.therapist_columns.size:
        rows = model.blocks[:, model.therapist_columns, :]
        scores = scores - np.einsum("irq,ir->iq", rows, by_therapist[model.therapist])
    return Predictions(np.einsum("iab,ib->ia", swept.shrink, scores), swept.shrink, by_therapist)


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
