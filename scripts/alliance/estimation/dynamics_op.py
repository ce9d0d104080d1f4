"""The likelihood of the random-intercept VAR as one PyTensor operation (see ``gradient_op``)."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pytensor.graph.basic import Variable

from alliance.estimation.gradient_op import GradientOp, shared_arrays
from alliance.likelihood import (
    incomplete_normal,
    partial_correlation,
    random_intercept_var,
    small_matrices,
    var_covariance,
)
from alliance.likelihood.partial_correlation import factor_from_partial, partial_gradient
from alliance.likelihood.random_intercept_var import log_likelihood_and_gradient
from alliance.likelihood.var_data import VarData, VarStructure

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
DATA_NAMES = (
    "course",
    "same_session",
    "phase",
    "loadings",
    "error",
    "values",
    "weight",
    "centred",
    "first_vector",
    "length",
    "n_clients",
    "missing",
    "first_missing",
)


@njit(fastmath=False, error_model="numpy", nogil=True)
def value_and_gradients(
    mean: FloatArray,
    coefficients: FloatArray,
    sd_innovation: FloatArray,
    unit_innovation: FloatArray,
    sd_first: FloatArray,
    unit_first: FloatArray,
    sd_client: FloatArray,
    unit_client: FloatArray,
    course: FloatArray,
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
) -> tuple[FloatArray, ...]:
    """Log-likelihood and its derivatives by the eight parameters.

    ``mean`` (m, k) are coefficients of the columns ``course`` (T, m). Covariances are given by SDs
    and partial correlations mapped to (0, 1), see ``likelihood.partial_correlation``.
    """
    innovation = factor_from_partial(sd_innovation, unit_innovation)
    first = factor_from_partial(sd_first, unit_first)
    client = factor_from_partial(sd_client, unit_client)
    value, by_means, by_coefficients, by_innovation, by_first, by_client = (
        log_likelihood_and_gradient(
            applied(course, mean), coefficients, innovation, first, client, same_session, phase,
            loadings, error, values, weight, centred, first_vector, length, n_clients, missing,
            first_missing,
        )
    )  # fmt: skip
    by_sd_innovation, by_unit_innovation = partial_gradient(
        sd_innovation, unit_innovation, innovation, by_innovation
    )
    by_sd_first, by_unit_first = partial_gradient(sd_first, unit_first, first, by_first)
    by_sd_client, by_unit_client = partial_gradient(sd_client, unit_client, client, by_client)
    return (
        np.asarray(value),
        applied(course.T, by_means),
        by_coefficients,
        by_sd_innovation,
        by_unit_innovation,
        by_sd_first,
        by_unit_first,
        by_sd_client,
        by_unit_client,
    )


@njit(fastmath=False, error_model="numpy", nogil=True)
def applied(columns: FloatArray, weights: FloatArray) -> FloatArray:
    """columns weights, without a threaded library."""
    out = np.zeros((columns.shape[0], weights.shape[1]))
    for t in range(columns.shape[0]):
        for c in range(columns.shape[1]):
            for j in range(weights.shape[1]):
                out[t, j] += columns[t, c] * weights[c, j]
    return out


class VarLogLikelihood(GradientOp):
    """Log-likelihood (output 0) and its derivatives by the parameters (outputs 1 to 8)."""

    n_parameters = 8
    function = staticmethod(value_and_gradients)
    sources = (
        random_intercept_var.__file__,
        var_covariance.__file__,
        incomplete_normal.__file__,
        small_matrices.__file__,
        partial_correlation.__file__,
        __file__,
    )


def shared_data(structure: VarStructure, course: FloatArray, data: VarData) -> list[Variable]:
    """Structure and data as shared variables, in the order of :func:`value_and_gradients`."""
    return shared_arrays(DATA_NAMES, (course, *structure.arrays(), *data.arrays()))
