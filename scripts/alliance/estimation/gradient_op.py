"""A compiled log-likelihood that returns its own gradient, as one PyTensor operation.

A graph of many small operations takes minutes to compile; one operation that calls the compiled
likelihood takes seconds. Data enter as shared variables, so the compiled code serves every study.
The operation returns the value and all derivatives together: its pullback reuses these outputs,
and one evaluation per leapfrog step does for both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytensor
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.gradient import DisconnectedType, disconnected_type
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import register_funcify_and_cache_key

# Fast mathematics lets a cold and a warm cache give different draws from the same seed.
pytensor.config.numba__fastmath = False


class GradientOp(Op):
    """Log-likelihood (output 0) and its derivatives by the parameters (outputs 1 to n).

    A subclass names the compiled function, how many of its arguments are parameters (they come
    first, the others are data), and the files whose sources make it what it is.

    Attributes
    ----------
    n_parameters : leading arguments of ``function`` that have derivatives.
    function : compiled by Numba; returns the value as a 0-dimensional array, then the derivatives.
    sources : files of ``function`` and of all that it calls.
    """

    __props__ = ()
    n_parameters: ClassVar[int]
    function: ClassVar[Callable[..., tuple[NDArray, ...]]]
    sources: ClassVar[tuple[str, ...]]

    def make_node(self, *inputs: Any) -> Apply:
        variables = [pt.as_tensor_variable(value) for value in inputs]
        derivatives = [variable.type() for variable in variables[: self.n_parameters]]
        return Apply(self, variables, [pt.dscalar(), *derivatives])

    def perform(
        self, node: Apply, inputs: Sequence[NDArray], output_storage: list[list[NDArray | None]]
    ) -> None:
        results = type(self).function(*(np.asarray(value) for value in inputs))
        for storage, result in zip(output_storage, results, strict=True):
            storage[0] = np.asarray(result)

    def infer_shape(self, node: Apply, shapes: list) -> list:
        return [(), *shapes[: self.n_parameters]]

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable],
    ) -> list[Variable]:
        if any(not isinstance(c.type, DisconnectedType) for c in cotangents[1:]):
            raise NotImplementedError("second derivatives of the likelihood")
        by_parameters = [cotangents[0] * derivative for derivative in outputs[1:]]
        return by_parameters + [disconnected_type() for _ in inputs[self.n_parameters :]]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        n_outputs = len(node.outputs)
        return [[k < self.n_parameters] * n_outputs for k in range(len(node.inputs))]


@cache
def source_hash(files: tuple[str, ...]) -> str:
    """Hash of the sources of compiled functions: changed code is never met by an old cache."""
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()


@register_funcify_and_cache_key(GradientOp)
def _compile_gradient(op: GradientOp, node: Apply, **_: Any) -> tuple[Any, str]:
    made = type(op)
    return made.function, f"{made.__qualname__} {source_hash((*made.sources, __file__))}"


def shared_arrays(names: Sequence[str], values: Sequence[Any]) -> list[Variable]:
    """Data as shared variables called ``data_<name>``."""
    return [
        pytensor.shared(np.asarray(value, order="C"), name=f"data_{name}")
        for name, value in zip(names, values, strict=True)
    ]
