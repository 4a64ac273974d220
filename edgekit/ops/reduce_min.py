# SPDX-License-Identifier: Apache-2.0
"""Least element over adjacent axes of a map; the greatest one is a max pooling of a view."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call, Quantization, Shape, Tensor
from edgekit.kernel import Binding, CStruct, Kernel
from edgekit.ops._elementwise import verify_one_type, verify_rank
from edgekit.ops._int16 import int16_twin
from edgekit.ops._int16_cases import int16_cases
from edgekit.ops._operator import Case, Operator, Quantized, case_graph
from edgekit.ops.mean import extents, reduction_features


@dataclass(frozen=True)
class ReduceMin:
    """The axes that become one element, adjacent and ascending, without the batch axis."""

    axes: tuple[int, ...]
    keep_dims: bool = False


@dataclass(frozen=True)
class ReduceMinArithmetic:
    """Nothing: the order of integers is that of the real values."""


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    view = extents(call)
    return CStruct(
        "ek_reduce_min_s8", {"outer": view.outer, "count": view.count, "inner": view.inner}
    )


REF = Kernel(
    symbol="ek_reduce_min_s8__ref",
    isa="ref",
    kind="map",
    pack=_pack_ref,
    features=reduction_features,
    stack_bytes=64,
)
S16 = int16_twin(REF, "ek_reduce_min_s16__ref")


class ReduceMinOperator(Operator):
    name = "reduce_min"
    attributes = ReduceMin
    arithmetic = ReduceMinArithmetic
    kernels = (REF, S16)

    def output_shape(self, attributes: ReduceMin, inputs: Sequence[Shape]) -> Shape:
        sizes = [1 if i in attributes.axes else size for i, size in enumerate(inputs[0])]
        kept = attributes.keep_dims
        return tuple(size for i, size in enumerate(sizes) if kept or i not in attributes.axes)

    def verify(self, call: Call) -> None:
        if len(call.inputs) != 1 or not call.activations:
            raise call.fail("it needs one input that is not a constant")
        axes, shape = call.node.attributes.axes, call.inputs[0].shape
        if not axes or axes[0] < 1 or axes[-1] >= len(shape):
            raise call.fail(f"axes {axes} of shape {shape}: reduce over 1 to {len(shape) - 1}")
        if axes != tuple(range(axes[0], axes[0] + len(axes))):
            raise call.fail(f"axes {axes} must be adjacent and ascending; use one node for each")
        verify_rank(call, call.inputs[0])
        verify_one_type(call)

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        least: Array = inputs[0].min(axis=call.node.attributes.axes)
        return least.reshape(call.output.shape)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        return self.evaluate(call, inputs)

    def quantize(self, call: Call) -> Quantized:
        return Quantized(ReduceMinArithmetic())

    def output_quantization(self, call: Call) -> Quantization | None:
        return call.inputs[0].quantization

    def cases(self) -> Iterator[Case]:
        yield from self._int8_cases()
        yield from int16_cases(self._int8_cases())

    def _int8_cases(self) -> Iterator[Case]:
        yield _case("height_and_width", (1, 5, 7, 6), ReduceMin((1, 2)))
        yield _case("keep_dims", (1, 4, 4, 8), ReduceMin((1, 2), keep_dims=True))
        yield _case("height_only", (1, 6, 5, 3), ReduceMin((1,)))
        yield _case("width_only", (1, 6, 5, 3), ReduceMin((2,), keep_dims=True))
        yield _case("channels", (1, 6, 5, 3), ReduceMin((3,)))
        yield _case("everything", (1, 6, 5, 3), ReduceMin((1, 2, 3)))
        yield _case("rank_3", (1, 9, 7), ReduceMin((1,)))
        yield _case("vector", (1, 10), ReduceMin((1,)))
        yield _case("one_element", (1, 1, 1, 1), ReduceMin((1, 2)))


def _case(name: str, shape: Shape, attributes: ReduceMin) -> Case:
    """Least elements of every value, first and last of their group."""
    quantization = Quantization(0.05, -3)
    rising = np.resize(np.arange(-128, 128), shape).astype(np.int8)
    graph = case_graph(
        "reduce_min",
        inputs=[Tensor("x", shape, "int8", quantization)],
        output=Tensor("y", OPERATOR.output_shape(attributes, [shape]), "int8", quantization),
        attributes=attributes,
        arithmetic=ReduceMinArithmetic(),
        name=name,
    )
    return Case(name, graph, ((rising,), (-1 - rising,)))


OPERATOR = ReduceMinOperator()
