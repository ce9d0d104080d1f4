"""The marginal likelihood as one PyTensor operation.

A graph of many small operations takes minutes to compile; one operation that calls the compiled
likelihood takes seconds. Data enter as shared variables, so the compiled code serves every study.
The operation returns the value and all derivatives together: its pullback reuses these outputs,
and one evaluation per leapfrog step does for both.
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

from alliance.likelihood import marginal
from alliance.likelihood.marginal import MarginalData, log_likelihood_and_gradient

FloatArray = NDArray[np.float64]

# Fast mathematics lets a cold and a warm cache give different draws from the same seed.
pytensor.config.numba__fastmath = False

N_PARAMETERS = 6
_compiled = njit(cache=True, fastmath=False, error_model="numpy", nogil=True)


@_compiled
def factor_from_partial(sd: FloatArray, unit: FloatArray) -> FloatArray:
    """Cholesky factor of a covariance from SDs and partial correlations.

    Parameters
    ----------
    sd : (q,). unit : (q (q - 1) / 2,), partial correlations mapped to (0, 1), row by row of the
        lower triangle. Independent Beta(b, b) priors with ``b = eta + (q - 2 - column) / 2``
        give the LKJ(eta) distribution (Lewandowski, Kurowicka & Joe 2009).
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
def _partial_gradient(
    sd: FloatArray, unit: FloatArray, L: FloatArray, by_L: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Chain rule of :func:`factor_from_partial`."""
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


# Not cached by Numba, which would not notice a change of the likelihood in its own file; PyTensor
# caches it under the hash of both files.
@njit(fastmath=False, error_model="numpy", nogil=True)
def value_and_gradients(
    beta: FloatArray,
    sigma: FloatArray,
    sd_client: FloatArray,
    unit_client: FloatArray,
    sd_therapist: FloatArray,
    unit_therapist: FloatArray,
    centre: FloatArray,
    total: FloatArray,
    n_rows: FloatArray,
    zx: FloatArray,
    gram: FloatArray,
    zw: FloatArray,
    therapist: NDArray[np.int64],
    wx: FloatArray,
    ww: FloatArray,
) -> tuple[FloatArray, ...]:
    """Log-likelihood and its derivatives by the six parameters of the model.

    ``beta[0]`` is the expected outcome at the means ``centre`` of the columns (0 for the intercept
    itself): the constant of the uncentred columns is ``beta[0] - centre @ beta``. Scalars are
    0-dimensional arrays, as in PyTensor; the arrays of data are those of ``MarginalData``.
    """
    Lc = factor_from_partial(sd_client, unit_client)
    Lt = factor_from_partial(sd_therapist, unit_therapist)
    uncentred = beta.copy()
    uncentred[0] -= centre @ beta
    value, by_beta, by_log_sigma, by_Lc, by_Lt = log_likelihood_and_gradient(
        uncentred, np.log(sigma.item()), Lc, Lt, total, n_rows.item(), zx, gram, zw, therapist,
        wx, ww,
    )  # fmt: skip
    by_sd_client, by_unit_client = _partial_gradient(sd_client, unit_client, Lc, by_Lc)
    by_sd_therapist, by_unit_therapist = _partial_gradient(sd_therapist, unit_therapist, Lt, by_Lt)
    return (
        np.asarray(value),
        by_beta - by_beta[0] * centre,
        np.asarray(by_log_sigma / sigma.item()),
        by_sd_client,
        by_unit_client,
        by_sd_therapist,
        by_unit_therapist,
    )


class MarginalLogLikelihood(Op):
    """Log-likelihood (output 0) and its derivatives by the parameters (outputs 1 to 6)."""

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
            raise NotImplementedError("second derivatives of the marginal likelihood")
        by_parameters = [cotangents[0] * derivative for derivative in outputs[1:]]
        return by_parameters + [disconnected_type() for _ in inputs[N_PARAMETERS:]]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        n_outputs = len(node.outputs)
        return [[k < N_PARAMETERS] * n_outputs for k in range(len(node.inputs))]


@cache
def _source_hash() -> str:
    """Hash of the sources of the compiled functions: changed code is never met by an old cache."""
    sources = [Path(module).read_bytes() for module in (marginal.__file__, __file__)]
    return hashlib.sha256(b"".join(sources)).hexdigest()


@register_funcify_and_cache_key(MarginalLogLikelihood)
def _compile_marginal(op: Op, node: Apply, **_: Any) -> tuple[Any, str]:
    return value_and_gradients, _source_hash()


def shared_data(data: MarginalData, centre: FloatArray) -> list[Variable]:
    """The data as shared variables, in the order of :func:`value_and_gradients`."""
    names = ("centre", "total", "n_rows", "zx", "gram", "zw", "therapist", "wx", "ww")
    values = (np.asarray(centre, dtype=np.float64), *data.arrays())
    return [
        pytensor.shared(np.asarray(value), name=f"data_{name}")
        for name, value in zip(names, values, strict=True)
    ]
