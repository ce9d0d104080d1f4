"""Random effects given parameters and data, and the log-likelihood of each cluster.

Plain NumPy, written independently of the compiled likelihood, which is tested against it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alliance.likelihood.statistics import NestedStatistics

FloatArray = NDArray[np.float64]


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
