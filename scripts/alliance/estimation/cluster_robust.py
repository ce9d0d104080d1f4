"""Standard error of one coefficient by clusters, for few clusters of uneven size.

CR2 with Satterthwaite degrees of freedom: Bell & McCaffrey 2002 (Survey Methodology 28, 169-181);
Pustejovsky & Tipton 2018 (Journal of Business & Economic Statistics 36, 672-683).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
_ZERO = 1e-10  # eigenvalues of I - H below it: a cluster that alone decides a coefficient


@dataclass(frozen=True)
class ClusterRobust:
    """Standard error, degrees of freedom, and the ratio of the error to that of CR0."""

    se: float
    df: float
    inflation: float


def cr2(
    direction: FloatArray, others: FloatArray, residual: FloatArray, cluster: NDArray[np.int64]
) -> ClusterRobust:
    """CR2 error of the least-squares coefficient of ``direction``.

    The working model is that of least squares, independent errors of equal variance: the
    residuals of each cluster are multiplied by (I - H_gg)^(-1/2), which makes the variance
    unbiased under it; the degrees of freedom are those of the variance under it.

    Parameters
    ----------
    direction : (n,) the predictor after regression on the other columns.
    others : (n, k) orthonormal basis of the other columns, the intercept among them.
    residual : (n,) residuals of the full regression.
    cluster : (n,) codes from 0, each of them used.
    """
    length = float(direction @ direction)
    basis = np.column_stack([others, direction / np.sqrt(length)])
    order = np.argsort(cluster, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(cluster[order])) + 1)
    adjusted = [_adjusted(basis[rows], direction[rows]) for rows in groups]
    scores = np.array([u @ residual[rows] for u, rows in zip(adjusted, groups, strict=True)])
    plain = np.array([direction[rows] @ residual[rows] for rows in groups])
    own = np.array([u @ u for u in adjusted])
    shared = np.array([basis[rows].T @ u for u, rows in zip(adjusted, groups, strict=True)])
    # P = diag(own) - shared shared' has the covariances of the clusters' scores
    overlap = np.einsum("gk,gk->g", shared, shared)
    trace = float(np.sum(own - overlap))
    squares = float(own @ own - 2 * own @ overlap + np.sum((shared.T @ shared) ** 2))
    size, least = float(np.sqrt(scores @ scores)), float(np.sqrt(plain @ plain))
    # residuals of zero: a perfect line has no error to be made larger
    return ClusterRobust(size / length, trace**2 / squares, size / least if least else 1.0)


def _adjusted(basis: FloatArray, direction: FloatArray) -> FloatArray:
    """(I - H_gg)^(-1/2) times the rows of ``direction`` of one cluster."""
    values, vectors = np.linalg.eigh(np.eye(len(basis)) - basis @ basis.T)
    root = np.where(values > _ZERO, 1 / np.sqrt(np.maximum(values, _ZERO)), 0.0)
    return vectors @ (root * (vectors.T @ direction))
