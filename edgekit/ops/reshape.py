# SPDX-License-Identifier: Apache-2.0
"""The same elements in the same order under another shape; it becomes a view, not a kernel."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgekit.ir import Array, Call, Quantization, Shape, Tensor
from edgekit.kernel import Kernel
from edgekit.ops._elementwise import verify_rank
from edgekit.ops._operator import Case, Operator, Quantized, case_graph


@dataclass(frozen=True)
class Reshape:
    """The shape of the output, every size known."""

    shape: tuple[int, ...]


@dataclass(frozen=True)
class ReshapeArithmetic:
    """Nothing: integers stay where they are."""


class ReshapeOperator(Operator):
    name = "reshape"
    attributes = Reshape
    arithmetic = ReshapeArithmetic
    kernels: tuple[Kernel, ...] = ()
    is_view = True

    def output_shape(self, attributes: Reshape, inputs: Sequence[Shape]) -> Shape:
        return attributes.shape

    def verify(self, call: Call) -> None:
        shape: Shape = call.node.attributes.shape
        if len(call.inputs) != 1 or not call.activations:
            raise call.fail("it needs one input that is not a constant")
        if any(size <= 0 for size in shape) or math.prod(shape) != call.inputs[0].elements:
            raise call.fail(f"{call.inputs[0].elements} elements do not have the shape {shape}")
        verify_rank(call, call.output)
        if call.inputs[0].dtype != call.output.dtype:
            raise call.fail(f"it cannot turn {call.inputs[0].dtype} into {call.output.dtype}")

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        return inputs[0].reshape(call.node.attributes.shape)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        return inputs[0].reshape(call.node.attributes.shape)

    def quantize(self, call: Call) -> Quantized:
        return Quantized(ReshapeArithmetic())

    def output_quantization(self, call: Call) -> Quantization | None:
        return call.inputs[0].quantization

    def cases(self) -> Iterator[Case]:
        yield _case("flatten", (1, 3, 4, 5), (1, 60))
        yield _case("same_shape", (1, 3, 4, 5), (1, 3, 4, 5))
        yield _case("vector_to_map", (1, 60), (1, 5, 4, 3))
        yield _case("without_batch", (1, 7), (7,))
        yield _case("one_element", (1, 1, 1, 1), ())


def _case(name: str, shape: Shape, new_shape: Shape) -> Case:
    quantization = Quantization(0.05, -3)
    graph = case_graph(
        "reshape",
        inputs=[Tensor("x", shape, "int8", quantization)],
        output=Tensor("y", new_shape, "int8", quantization),
        attributes=Reshape(new_shape),
        arithmetic=ReshapeArithmetic(),
        name=name,
    )
    return Case(name, graph)


OPERATOR = ReshapeOperator()
