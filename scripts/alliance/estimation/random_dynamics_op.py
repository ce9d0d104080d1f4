"""The random-dynamics likelihood and its clients' dynamics as one PyTensor operation."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pytensor.graph.basic import Variable

from alliance.estimation import dynamics_op
from alliance.estimation.dynamics_op import applied
from alliance.estimation.gradient_op import GradientOp, shared_arrays
from alliance.likelihood import partial_correlation, random_dynamics
from alliance.likelihood.partial_correlation import factor_from_partial, partial_gradient
from alliance.likelihood.random_dynamics import GapData, log_likelihood_and_gradient
from alliance.likelihood.var_data import VarStructure

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
DATA_NAMES = (
    "course",
    "same_session",
    "loadings",
    "scores",
    "n_sessions",
    "client",
    "session",
    "series",
)

_plain = njit(fastmath=False, error_model="numpy", nogil=True)


@_plain
def value_and_gradients(
    mean: FloatArray,
    coefficients: FloatArray,
    sd_coefficients: FloatArray,
    unit_coefficients: FloatArray,
    z_coefficients: FloatArray,
    sd_innovation: FloatArray,
    unit_innovation: FloatArray,
    sd_log: FloatArray,
    z_log: FloatArray,
    sd_level: FloatArray,
    unit_level: FloatArray,
    sd_first: FloatArray,
    unit_first: FloatArray,
    added: FloatArray,
    course: FloatArray,
    same_session: FloatArray,
    loadings: FloatArray,
    scores: FloatArray,
    n_sessions: IntArray,
    client: IntArray,
    session: IntArray,
    series: IntArray,
) -> tuple[FloatArray, ...]:
    """Log-density of scores given clients' dynamics, and its derivatives by 14 parameters.

    Parameters
    ----------
    mean : (m, k) coefficients of the columns ``course`` (T, m).
    coefficients : (k, k) means over clients; ``sd_coefficients`` (k k,), ``unit_coefficients`` and
        ``z_coefficients`` (n, k k): SDs, partial correlations and standard normal deviations.
    sd_innovation : (k,) of the typical client; ``sd_log`` (k,) and ``z_log`` (n, k): log SDs are
        ``log(sd_innovation) + sd_log * z_log``.
    sd_level, unit_level : of clients' levels (and trends), which are integrated out.
    """
    n, k = z_log.shape
    Lc = factor_from_partial(sd_coefficients, unit_coefficients)
    Lu = factor_from_partial(sd_level, unit_level)
    ones = np.ones(k)
    mixing = factor_from_partial(ones, unit_innovation)
    first = factor_from_partial(sd_first, unit_first)
    B = _spread(z_coefficients, Lc)
    log_sd = np.empty((n, k))
    for i in range(n):
        for j in range(k):
            log_sd[i, j] = np.log(sd_innovation[j]) + sd_log[j] * z_log[i, j]
            for s in range(k):
                B[i, j * k + s] += coefficients[j, s]
    value, by_means, by_B, by_log_sd, by_mixing, by_first, by_Lu, by_added = (
        log_likelihood_and_gradient(
            applied(course, mean), B.reshape((n, k, k)), log_sd, mixing, first, Lu, added,
            same_session, loadings, scores, n_sessions, client, session, series,
        )
    )  # fmt: skip
    flat = by_B.reshape((n, k * k))
    by_z, by_Lc = _collect(flat, z_coefficients, Lc)
    by_coefficients, by_sd_log, by_z_log = np.zeros((k, k)), np.zeros(k), np.empty((n, k))
    by_sd_innovation = np.zeros(k)
    for i in range(n):
        for j in range(k):
            by_sd_innovation[j] += by_log_sd[i, j] / sd_innovation[j]
            by_sd_log[j] += by_log_sd[i, j] * z_log[i, j]
            by_z_log[i, j] = by_log_sd[i, j] * sd_log[j]
            for s in range(k):
                by_coefficients[j, s] += by_B[i, j, s]
    by_sd_c, by_unit_c = partial_gradient(sd_coefficients, unit_coefficients, Lc, by_Lc)
    by_sd_u, by_unit_u = partial_gradient(sd_level, unit_level, Lu, by_Lu)
    by_sd_f, by_unit_f = partial_gradient(sd_first, unit_first, first, by_first)
    _, by_unit_i = partial_gradient(ones, unit_innovation, mixing, by_mixing)
    return (
        np.asarray(value), applied(course.T, by_means), by_coefficients, by_sd_c, by_unit_c, by_z,
        by_sd_innovation, by_unit_i, by_sd_log, by_z_log, by_sd_u, by_unit_u, by_sd_f, by_unit_f,
        by_added,
    )  # fmt: skip


@_plain
def _spread(z: FloatArray, factor: FloatArray) -> FloatArray:
    """Rows ``factor z[i]``."""
    out = np.zeros(z.shape)
    for i in range(z.shape[0]):
        for a in range(z.shape[1]):
            for b in range(a + 1):
                out[i, a] += factor[a, b] * z[i, b]
    return out


@_plain
def _collect(
    by_effects: FloatArray, z: FloatArray, factor: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Reverse of :func:`_spread`: derivatives by z and by the factor."""
    q = factor.shape[0]
    by_z, by_factor = np.zeros(z.shape), np.zeros((q, q))
    for i in range(z.shape[0]):
        for a in range(q):
            for b in range(a + 1):
                by_z[i, b] += factor[a, b] * by_effects[i, a]
                by_factor[a, b] += by_effects[i, a] * z[i, b]
    return by_z, by_factor


class RandomDynamicsLogLikelihood(GradientOp):
    """Log-density (output 0) and its derivatives by the parameters (outputs 1 to 14)."""

    n_parameters = 14
    function = staticmethod(value_and_gradients)
    sources = (
        random_dynamics.__file__,
        partial_correlation.__file__,
        dynamics_op.__file__,
        __file__,
    )


def shared_data(structure: VarStructure, course: FloatArray, data: GapData) -> list[Variable]:
    """Structure and data as shared variables, in the order of :func:`value_and_gradients`."""
    known = (course, structure.same_session, structure.loadings)
    return shared_arrays(DATA_NAMES, (*known, *data.arrays()))
