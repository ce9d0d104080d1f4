"""Coefficients alpha and omega of item covariances; the one-factor model behind omega."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

Array = NDArray[np.float64]
# Smallest share of unique variance of an item, as in factanal and psych::fa.
SMALLEST_UNIQUENESS = 0.005
# Largest slope of the discrepancy (in correlations) at which the one-factor model has converged.
SMALLEST_SLOPE = 1e-4


def alpha(covariance: Array) -> Array:
    """Coefficient alpha of (..., p, p) covariances: ``p/(p-1) (1 - trace/sum)``.

    NaN where the variance of the sum is not positive.
    """
    p = covariance.shape[-1]
    whole = covariance.sum(axis=(-2, -1))
    trace = np.trace(covariance, axis1=-2, axis2=-1)
    share = np.divide(trace, whole, out=np.full_like(whole, np.nan), where=whole > 0)
    return p / (p - 1) * (1 - share)


@dataclass(frozen=True)
class OneFactor:
    """Maximum likelihood solution of one factor.

    Attributes
    ----------
    loadings, uniquenesses : (p,) in the units of the covariance. heywood : a uniqueness is at its
        lower bound. converged : the discrepancy is flat there (up to bounds).
    """

    loadings: Array
    uniquenesses: Array
    heywood: bool
    converged: bool

    @property
    def omega(self) -> float:
        """``(sum of loadings)^2 / ((sum of loadings)^2 + sum of uniquenesses)``."""
        return float(_omega(self.loadings, self.uniquenesses))


def fit_one_factor(covariance: Array) -> OneFactor:
    """Maximum likelihood one-factor model of a (p, p) covariance with positive variances, p >= 3.

    Works on the correlations, as the model does not depend on the scale; uniquenesses are bounded
    below at 0.005 of the item's variance.
    """
    sd = np.sqrt(np.diag(covariance))
    r = covariance / np.outer(sd, sd)
    p = len(sd)
    _, vectors = np.linalg.eigh(r)
    start = np.r_[0.7 * vectors[:, -1] * np.sign(vectors[:, -1].sum() or 1) * np.sqrt(p),
                  np.full(p, 0.5)]  # fmt: skip
    start[:p] = np.clip(start[:p], -0.95, 0.95)
    bounds = [(None, None)] * p + [(SMALLEST_UNIQUENESS, 10.0)] * p
    result = scipy.optimize.minimize(
        _discrepancy, start, args=(r,), jac=True, method="L-BFGS-B", bounds=bounds,
        options={"ftol": 1e-14, "gtol": 1e-8, "maxiter": 2000},
    )  # fmt: skip
    loadings, uniquenesses = result.x[:p], result.x[p:]
    at_bound = uniquenesses <= SMALLEST_UNIQUENESS * 1.001
    slope = np.r_[result.jac[:p], np.where(at_bound, np.minimum(result.jac[p:], 0), result.jac[p:])]
    # The optimiser's own flag also reports a line search stopped by rounding at the optimum.
    converged = bool(np.abs(slope).max() < SMALLEST_SLOPE)
    return OneFactor(loadings * sd, uniquenesses * sd**2, bool(at_bound.any()), converged)


def _discrepancy(parameters: Array, r: Array) -> tuple[float, Array]:
    """``log|Sigma| + trace(R Sigma^-1)`` and its gradient; Sigma = loading loading' + diag."""
    p = len(r)
    loading, unique = parameters[:p], parameters[p:]
    scaled = loading / unique
    m = 1 + loading @ scaled
    inverse = np.diag(1 / unique) - np.outer(scaled, scaled) / m
    product = inverse @ r
    value = np.log(unique).sum() + np.log(m) + np.trace(product)
    slope = inverse - product @ inverse
    return float(value), np.r_[2 * slope @ loading, np.diag(slope)]


def omega_many(covariance: Array, start: OneFactor, max_iterations: int = 400) -> Array:
    """Omega of many (B, p, p) covariances by EM from a common start, all at once.

    For bootstrap samples. Rubin & Thayer's (1982) EM for one factor; uniquenesses bounded as in
    :func:`fit_one_factor`. NaN where an item has no variance or EM has not come to rest.
    """
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    usable = (variance > 0).all(axis=1) & np.isfinite(covariance).all(axis=(1, 2))
    result = np.full(len(covariance), np.nan)
    s, variance = covariance[usable], variance[usable]
    loading = np.broadcast_to(start.loadings, variance.shape).copy()
    unique = np.maximum(
        np.broadcast_to(start.uniquenesses, variance.shape), SMALLEST_UNIQUENESS * variance
    )
    now = _omega(loading, unique)
    step = np.full(len(s), np.inf)
    for _ in range(max_iterations):
        scaled = loading / unique
        beta = scaled / (1 + (loading * scaled).sum(axis=1, keepdims=True))
        s_beta = np.einsum("bij,bj->bi", s, beta)
        factor = 1 - (beta * loading).sum(axis=1) + (beta * s_beta).sum(axis=1)
        loading = s_beta / np.maximum(factor, 1e-8)[:, None]
        unique = np.maximum(variance - loading * s_beta, SMALLEST_UNIQUENESS * variance)
        before, now = now, _omega(loading, unique)
        step = np.abs(now - before)
        if step.max(initial=0.0) < 1e-7:
            break
    # Steps of EM shrink slowly: 1e-5 here is far below what an interval of two decimals shows.
    result[usable] = np.where(step < 1e-5, now, np.nan)
    return result


def _omega(loadings: Array, uniquenesses: Array) -> Array:
    common = loadings.sum(axis=-1) ** 2
    return common / (common + uniquenesses.sum(axis=-1))
