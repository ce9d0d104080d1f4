"""The likelihood of the random-intercept VAR as one PyTensor operation.

As in :mod:`alliance.estimation.bayes_op`: one operation returns the value and all derivatives, data
enter as shared variables, and the pullback reuses the derivatives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
from numba import njit
from numpy.typing import NDArray
from pytensor.gradient import DisconnectedType, disconnected_type
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import register_funcify_and_cache_key

from alliance.estimation import bayes_op
from alliance.estimation.bayes_op import _partial_gradient, factor_from_partial
from alliance.likelihood import random_intercept_var
from alliance.likelihood.random_intercept_var import (
    VarData,
    VarStructure,
    log_likelihood_and_gradient,
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
N_PARAMETERS = 8
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
    and partial correlations mapped to (0, 1), see ``bayes_op.factor_from_partial``.
    """
    innovation = factor_from_partial(sd_innovation, unit_innovation)
    first = factor_from_partial(sd_first, unit_first)
    client = factor_from_partial(sd_client, unit_client)
    value, by_means, by_coefficients, by_innovation, by_first, by_client = (
        log_likelihood_and_gradient(
            _apply(course, mean), coefficients, innovation, first, client, same_session, phase,
            loadings, error, values, weight, centred, first_vector, length, n_clients, missing,
            first_missing,
        )
    )  # fmt: skip
    by_sd_innovation, by_unit_innovation = _partial_gradient(
        sd_innovation, unit_innovation, innovation, by_innovation
    )
    by_sd_first, by_unit_first = _partial_gradient(sd_first, unit_first, first, by_first)
    by_sd_client, by_unit_client = _partial_gradient(sd_client, unit_client, client, by_client)
    return (
        np.asarray(value),
        _apply(course.T, by_means),
        by_coefficients,
        by_sd_innovation,
        by_unit_innovation,
        by_sd_first,
        by_unit_first,
        by_sd_client,
        by_unit_client,
    )


@njit(fastmath=False, error_model="numpy", nogil=True)
def _apply(columns: FloatArray, weights: FloatArray) -> FloatArray:
    """columns weights, without a threaded library."""
    out = np.zeros((columns.shape[0], weights.shape[1]))
    for t in range(columns.shape[0]):
        for c in range(columns.shape[1]):
            for j in range(weights.shape[1]):
                out[t, j] += columns[t, c] * weights[c, j]
    return out


class VarLogLikelihood(Op):
    """Log-likelihood (output 0) and its derivatives by the parameters (outputs 1 to 8)."""

    __props__ = ()

    def make_node(self, *inputs: Any) -> Apply:
        variables = [pt.as_tensor_variable(value) for value in inputs]
        derivatives = [variable.type() for variable in variables[:N_PARAMETERS]]
        return Apply(self, variables, [pt.dscalar(), *derivatives])

    def perform(
        self, node: Apply, inputs: Sequence[NDArray], output_storage: list[list[NDArray | None]]
    ) -> None:
        results = value_and_gradients(*(np.asarray(value) for value in inputs))
        for storage, result in zip(output_storage, results, strict=True):
            storage[0] = np.asarray(result)

    def infer_shape(self, node: Apply, shapes: list) -> list:
        return [(), *shapes[:N_PARAMETERS]]

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable],
    ) -> list[Variable]:
        if any(not isinstance(c.type, DisconnectedType) for c in cotangents[1:]):
            raise NotImplementedError("second derivatives of the likelihood")
        by_parameters = [cotangents[0] * derivative for derivative in outputs[1:]]
        return by_parameters + [disconnected_type() for _ in inputs[N_PARAMETERS:]]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        n_outputs = len(node.outputs)
        return [[k < N_PARAMETERS] * n_outputs for k in range(len(node.inputs))]


@cache
def _source_hash() -> str:
    """Hash of the sources of the compiled functions: changed code is never met by an old cache."""
    files = (random_intercept_var.__file__, bayes_op.__file__, __file__)
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()


@register_funcify_and_cache_key(VarLogLikelihood)
def _compile_var(op: Op, node: Apply, **_: Any) -> tuple[Any, str]:
    return value_and_gradients, _source_hash()


def shared_data(structure: VarStructure, course: FloatArray, data: VarData) -> list[Variable]:
    """Structure and data as shared variables, in the order of :func:`value_and_gradients`."""
    arrays = (course, *structure.arrays(), *data.arrays())
    return [
        pytensor.shared(np.ascontiguousarray(array), name=f"data_{name}")
        for name, array in zip(DATA_NAMES, arrays, strict=True)
    ]
