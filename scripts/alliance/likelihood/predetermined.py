"""Covariance of a dynamic panel model with a predetermined predictor, and its chain rule.

The model for one target series y, client i and session t = 2 ... T (Allison, Williams &
Moral-Benito 2017, Socius 3; Moral-Benito 2013, Journal of Business & Economic Statistics 31(4))::

    y[i,t] = mean[t] + a[i] + phi * y[i,t-1] + b' x[i,t] + e[i,t]

where x[i,t] holds the latest values of the other series before y[i,t]. Nothing is assumed about the
client effect ``a``, the first score and the x among each other, nor about what earlier errors do to
later x: x is predetermined. Errors are independent of one another, of ``a`` and of all x up to
their session.

Put in the order a, y[1], x[2], e[2], x[3], e[3] ... these variables have a lower Cholesky factor L
that is free, except that the row of each e is zero left of its diagonal. With K taking them to the
scores, the covariance of the scores is ``K L L' K'``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from alliance.likelihood.incomplete_normal import over_clients
from alliance.likelihood.var_data import VarData

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class PanelStructure:
    """One equation of a panel of k series over T sessions.

    Attributes
    ----------
    n_series, n_sessions : k and T. target : the series with an equation.
    same_session : (k,), 1.0 where the target depends on the *same* session's value.
    """

    n_series: int
    n_sessions: int
    target: int
    same_session: FloatArray

    @cached_property
    def sources(self) -> IntArray:
        """(k - 1,) the other series."""
        return np.delete(np.arange(self.n_series), self.target)

    @cached_property
    def cells(self) -> IntArray:
        """(d,) cells ``t k + j`` of the scores in the order of the factor."""
        order = [self.target]
        for t in range(1, self.n_sessions):
            order += [self._latest(t, j) for j in self.sources]
            order.append(t * self.n_series + self.target)
        return np.array(order)

    def _latest(self, t: int, j: int) -> int:
        return int((t if self.same_session[j] else t - 1) * self.n_series + j)

    @cached_property
    def is_error(self) -> NDArray[np.bool_]:
        """(d + 1,) which rows of the factor belong to errors; row 0 is the client effect."""
        rows = np.zeros(len(self.cells) + 1, dtype=bool)
        rows[1 + self.n_series :: self.n_series] = True
        return rows

    @cached_property
    def factor_cells(self) -> tuple[IntArray, IntArray]:
        """Rows and columns of the free entries of the factor (d + 1, d + 1)."""
        rows, columns = np.tril_indices(len(self.cells) + 1)
        free = ~self.is_error[rows] | (rows == columns)
        return rows[free], columns[free]

    @property
    def places(self) -> IntArray:
        """(k,) position of each series in a block ``x[t], y[t]`` of the order of the factor."""
        place = np.empty(self.n_series, dtype=np.int64)
        place[self.sources] = np.arange(self.n_series - 1)
        place[self.target] = self.n_series - 1
        return place

    def paths(self, coefficients: FloatArray) -> FloatArray:
        """(d, d) strictly lower matrix of the direct effects of scores on scores."""
        k, d = self.n_series, len(self.cells)
        C = np.zeros((d, d))
        for y in range(k, d, k):
            C[y, y - k] = coefficients[self.target]
            C[y, y - k + 1 : y] = coefficients[self.sources]
        return C

    def collect(self, by_paths: FloatArray) -> FloatArray:
        """(k,) derivatives by the coefficients from those by :meth:`paths`."""
        k = self.n_series
        out = np.zeros(k)
        for y in range(k, len(by_paths), k):
            out[self.target] += by_paths[y, y - k]
            out[self.sources] += by_paths[y, y - k + 1 : y]
        return out

    def carrier(self, coefficients: FloatArray) -> tuple[FloatArray, FloatArray]:
        """K (d, d + 1) and ``(I - C)^-1`` (d, d)."""
        d = len(self.cells)
        total = np.linalg.inv(np.eye(d) - self.paths(coefficients))
        direct = np.column_stack([self.is_error[1:].astype(float), np.eye(d)])
        return total @ direct, total


@dataclass(frozen=True)
class PanelLikelihood:
    """Value and derivatives: by the means (d,), the coefficients (k,) and the factor (lower)."""

    value: float
    by_mean: FloatArray
    by_coefficients: FloatArray
    by_factor: FloatArray
    information: FloatArray


def panel_likelihood(
    structure: PanelStructure,
    mean: FloatArray,
    coefficients: FloatArray,
    factor: FloatArray,
    data: VarData,
) -> PanelLikelihood:
    """Log-likelihood of the observed scores, whatever is missing, and its derivatives.

    Parameters
    ----------
    data : scores whose cells outside ``structure.cells`` are all missing.

    Returns
    -------
    ``value`` is NaN where the covariance is not positive definite; ``information`` (d, d) is that
    of the means.
    """
    K, total = structure.carrier(coefficients)
    M = K @ factor
    where = structure.cells
    size = structure.n_series * structure.n_sessions
    V, all_means = np.eye(size), np.zeros(size)
    V[np.ix_(where, where)] = M @ M.T
    all_means[where] = mean
    value, score, by_V, information = over_clients(V, all_means, data.n_series, *data.arrays())
    by_M = 2.0 * by_V[np.ix_(where, where)] @ M
    by_paths = total.T @ by_M @ M.T
    return PanelLikelihood(
        value,
        score[where],
        structure.collect(by_paths),
        np.tril(K.T @ by_M),
        information[np.ix_(where, where)],
    )


def whitened_slopes(
    structure: PanelStructure, coefficients: FloatArray, factor: FloatArray
) -> FloatArray:
    """(k + n_factor, d, d) derivatives of the covariance by the coefficients and the free entries
    of the factor, each multiplied by the inverse root of the covariance from both sides.

    Rows and columns are in the order of sessions, so that those of a shorter treatment lead.
    """
    K, total = structure.carrier(coefficients)
    M = K @ factor
    root = np.linalg.inv(np.linalg.cholesky(M @ M.T))
    left, right = root @ K, root @ M
    halves = [
        root @ total @ structure.paths(unit) @ M @ right.T for unit in np.eye(len(coefficients))
    ]
    rows, columns = structure.factor_cells
    entries = np.einsum("aj,bj->jab", left[:, rows], right[:, columns])
    slopes = np.concatenate([np.array(halves), entries])
    return slopes + slopes.transpose(0, 2, 1)
