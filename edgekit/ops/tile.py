# SPDX-License-Identifier: Apache-2.0
"""A tensor repeated along its axes; along axes of size 1 that is a broadcast copy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call, Quantization, Shape, Tensor
from edgekit.kernel import BY_ROW, Binding, CStruct, Kernel
from edgekit.layout import map_size
from edgekit.ops._elementwise import verify_one_type, verify_rank
from edgekit.ops._int16 import int16_twin
from edgekit.ops._int16_cases import int16_cases
from edgekit.ops._moving import MovingArithmetic, MovingOperator, row_table
from edgekit.ops._operator import Case, Operator, case_graph
from edgekit.window import Axis, RowMap


@dataclass(frozen=True)
class Tile:
    """How often the tensor is repeated along each axis."""

    multiples: tuple[int, ...]


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    _, width, channels = map_size(call.inputs[0].shape)
    return CStruct(
        "ek_tile_s8",
        {
            "width": width,
            "channels": channels,
            "output_channels": map_size(call.output.shape)[2],
        },
    )


REF = Kernel(
    symbol="ek_tile_s8__ref",
    isa="ref",
    kind="rows",
    pack=_pack_ref,
    write_behind=BY_ROW,
    stack_bytes=96,
)
S16 = int16_twin(REF, "ek_tile_s16__ref")


class TileOperator(MovingOperator):
    name = "tile"
    attributes = Tile
    kernels = (REF, S16)

    def output_shape(self, attributes: Tile, inputs: Sequence[Shape]) -> Shape:
        return tuple(s * m for s, m in zip(inputs[0], attributes.multiples, strict=True))

    def verify(self, call: Call) -> None:
        multiples: tuple[int, ...] = call.node.attributes.multiples
        if len(call.inputs) != 1 or not call.activations:
            raise call.fail("it needs one input that is not a constant")
        if len(multiples) != len(call.inputs[0].shape) or any(count < 1 for count in multiples):
            raise call.fail(f"multiples {multiples} do not fit shape {call.inputs[0].shape}")
        verify_one_type(call)
        for tensor in (call.inputs[0], call.output):
            verify_rank(call, tensor)

    def moved(self, call: Call, x: Array) -> Array:
        return np.tile(x, call.node.attributes.multiples)

    def row_map(self, call: Call) -> RowMap:
        height, output_height = (map_size(t.shape)[0] for t in (call.inputs[0], call.output))
        if height == output_height:
            return Axis(1)
        return row_table(y % height for y in range(output_height))

    def cases(self) -> Iterator[Case]:
        yield from self._int8_cases()
        yield from int16_cases(self._int8_cases())

    def _int8_cases(self) -> Iterator[Case]:
        yield _case("rows", (1, 2, 3, 5), (1, 3, 1, 1))
        yield _case("columns", (1, 2, 3, 5), (1, 1, 2, 1))
        yield _case("channels", (1, 2, 3, 5), (1, 1, 1, 4))
        yield _case("everything", (1, 2, 3, 5), (1, 2, 3, 2))
        yield _case("channel_vector_to_map", (1, 1, 1, 7), (1, 4, 5, 1))
        yield _case("row_to_map", (1, 1, 6, 3), (1, 5, 1, 1))
        yield _case("one_element", (1, 1, 1, 1), (1, 2, 3, 4))
        yield _case("once", (1, 2, 3, 5), (1, 1, 1, 1))
        yield _case("rank_3", (1, 6, 4), (2, 1, 3))
        yield _case("vector", (1, 5), (3, 2))


def _case(name: str, shape: Shape, multiples: tuple[int, ...]) -> Case:
    quantization = Quantization(0.05, -3)
    attributes = Tile(multiples)
    graph = case_graph(
        "tile",
        inputs=[Tensor("x", shape, "int8", quantization)],
        output=Tensor("y", OPERATOR.output_shape(attributes, [shape]), "int8", quantization),
        attributes=attributes,
        arithmetic=MovingArithmetic(),
        name=name,
    )
    return Case(name, graph)


OPERATOR: Operator = TileOperator()
