"""Exact likelihood and gradient of the random-intercept VAR(1) of k series.

The model, for client i at session t (Hamaker, Kuiper & Grasman 2015, Psychological Methods 20(1),
102-116, with coefficients equal over sessions; Asparouhov, Hamaker & Muthen 2018)::

    z[i,t] = mean[t] + u[i] + s[i] * time[t] + w[i,t] + error[i,t]
    w[i,t] = A w[i,t-1] + e[i,t],   e ~ N(0, Q),   w[i,1] ~ N(0, P1)

``u`` (and trends ``s``) are normal client effects, ``error`` has known variances. Stacked over
sessions a client is one normal vector whose covariance V is the same for everybody, so that

* the Cholesky factor of V holds those of all shorter treatments in its leading blocks,
* scores missing before a client's last session are taken out of the precision matrix
  (``inverse(V[O,O]) = P[O,O] - P[O,M] inverse(P[M,M]) P[M,O]``), and
* clients who share a pattern of missing scores enter through their mean and the triangular root of
  their cross-products: never more vectors than scores, however many clients.

The gradient by V is collected over clients and taken back to the parameters once. Loops run over
neighbouring numbers without fast mathematics: the same input gives the same bits.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from alliance.likelihood.incomplete_normal import over_clients
from alliance.likelihood.small_matrices import by_factor, outer
from alliance.likelihood.var_covariance import (
    back_through_sessions,
    back_to_structure,
    by_client_covariance,
    reduced,
    total_covariance,
    within_covariance,
)
from alliance.likelihood.var_data import VarData

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_compiled = njit(cache=True, fastmath=False, error_model="numpy", nogil=True)


Gradients = tuple[float, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]


@_compiled
def log_likelihood_and_gradient(
    mean: FloatArray,
    coefficients: FloatArray,
    innovation: FloatArray,
    first: FloatArray,
    client: FloatArray,
    same_session: FloatArray,
    phase: IntArray,
    loadings: FloatArray,
    error: FloatArray,
    values: FloatArray,
    weight: FloatArray,
    centred: FloatArray,
    first_vector: IntArray,
    length: IntArray,
    n_clients: FloatArray,
    missing: IntArray,
    first_missing: IntArray,
) -> Gradients:
    """Log-likelihood and its derivatives.

    Parameters
    ----------
    mean : (T, k). coefficients : (phases, k, k), effect of the latest value of the column series on
        the row series; the diagonal holds the autoregressions.
    innovation, first, client : lower Cholesky factors (k, k), (k, k), (q k, q k) of the covariance
        of the structural innovations, of the first session and of the client effects.
    same_session ... error : :class:`VarStructure`. values ... first_missing : :class:`VarData`.

    Returns
    -------
    value (NaN where V is not positive definite), then derivatives by ``mean``, ``coefficients`` and
    the three factors (lower triangles).
    """
    k = error.size
    A, Q, lead = reduced(coefficients, innovation, same_session)
    within = within_covariance(A, Q, outer(first), phase)
    V = total_covariance(within, outer(client), loadings, error)
    value, score, by_V, _ = over_clients(
        V, mean.copy().reshape(-1), k, values, weight, centred, first_vector, length, n_clients,
        missing, first_missing,
    )  # fmt: skip
    by_client = by_client_covariance(by_V, loadings, k)
    by_A, by_Q, by_first = back_through_sessions(by_V, within, A, phase)
    by_coefficients, by_innovation = back_to_structure(
        by_A, by_Q, A, lead, innovation, same_session
    )
    return (
        value,
        score.reshape(mean.shape),
        by_coefficients,
        by_innovation,
        by_factor(by_first, first),
        by_factor(by_client, client),
    )


@_compiled
def covariance(
    coefficients: FloatArray,
    innovation: FloatArray,
    first: FloatArray,
    client: FloatArray,
    same_session: FloatArray,
    phase: IntArray,
    loadings: FloatArray,
    error: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Covariance (T k, T k) of a client's scores, and its part without client effects and error."""
    A, Q, _ = reduced(coefficients, innovation, same_session)
    within = within_covariance(A, Q, outer(first), phase)
    return total_covariance(within, outer(client), loadings, error), within


def mean_information(V: FloatArray, data: VarData) -> tuple[FloatArray, FloatArray]:
    """Information about the means and the score at mean zero: the generalised least squares system.

    Returns
    -------
    (T k, T k) sum over clients of the inverse of V at their observed scores, filled up with zeros,
    and (T k,) sum of these inverses times the scores.
    """
    zero = np.zeros(V.shape[0])
    _, score, _, information = over_clients(V, zero, data.n_series, *data.arrays())
    return information, score
