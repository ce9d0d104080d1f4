"""Cholesky factors of covariances from SDs and partial correlations, with their chain rule.

Partial correlations are free of one another, so that a prior can be put on each of them:
independent Beta(b, b) priors of ``(1 + partial) / 2`` with ``b = eta + (q - 2 - column) / 2`` give
the LKJ(eta) distribution of correlation matrices (Lewandowski, Kurowicka & Joe 2009, Journal of
Multivariate Analysis 100(9)).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_compiled = njit(cache=True, fastmath=False, error_model="numpy", nogil=True)


@_compiled
def factor_from_partial(sd: FloatArray, unit: FloatArray) -> FloatArray:
    """Cholesky factor of a covariance from SDs and partial correlations.

    Parameters
    ----------
    sd : (q,). unit : (q (q - 1) / 2,), partial correlations mapped to (0, 1), row by row of the
        lower triangle.
    """
    q = sd.size
    L = np.zeros((q, q))
    k = 0
    for row in range(q):
        left = sd[row]
        for column in range(row):
            partial = 2.0 * unit[k] - 1.0
            L[row, column] = left * partial
            left *= np.sqrt(max(1.0 - partial * partial, 0.0))
            k += 1
        L[row, row] = left
    return L


@_compiled
def partial_gradient(
    sd: FloatArray, unit: FloatArray, L: FloatArray, by_L: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Derivatives by SDs and partial correlations from those by :func:`factor_from_partial`."""
    q = sd.size
    by_sd, by_unit = np.zeros(q), np.zeros(unit.size)
    first = 0
    for row in range(q):
        left = 1.0
        for column in range(row + 1):
            share = left
            if column < row:
                share *= 2.0 * unit[first + column] - 1.0
                left *= np.sqrt(max(1.0 - (2.0 * unit[first + column] - 1.0) ** 2, 0.0))
            by_sd[row] += by_L[row, column] * share
        for k in range(row):
            partial = 2.0 * unit[first + k] - 1.0
            others = 0.0
            for column in range(k + 1, row + 1):
                others += by_L[row, column] * L[row, column]
            above = sd[row]
            for column in range(k):
                above *= np.sqrt(max(1.0 - (2.0 * unit[first + column] - 1.0) ** 2, 0.0))
            by_unit[first + k] = 2.0 * (
                by_L[row, k] * above - others * partial / max(1.0 - partial * partial, 1e-300)
            )
        first += row
    return by_sd, by_unit
