# SPDX-License-Identifier: Apache-2.0
"""A regular part of a tensor: every n-th element along each axis, forwards or backwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call, Quantization, Shape, Tensor
from edgekit.kernel import BY_ROW, Binding, CStruct, Features, Kernel
from edgekit.layout import map_size
from edgekit.ops._elementwise import MAX_RANK, verify_one_type, verify_rank
from edgekit.ops._int16 import int16_twin
from edgekit.ops._int16_cases import int16_cases
from edgekit.ops._moving import MovingArithmetic, MovingOperator, row_table
from edgekit.ops._operator import Case, Operator, case_graph
from edgekit.ops._tuned import copied, refuse_strided, tuned_twin
from edgekit.window import Axis, RowMap


@dataclass(frozen=True)
class Slice:
    """Index i of the output is index begin + i * stride of the input, along each axis."""

    begin: tuple[int, ...]
    size: tuple[int, ...]
    strides: tuple[int, ...]


def axis_slice(shape: Shape, axis: int, begin: int, size: int, stride: int = 1) -> Slice:
    """A part along one axis of a shape, everything along the others."""
    rank = len(shape)
    return Slice(
        tuple(begin if i == axis else 0 for i in range(rank)),
        tuple(size if i == axis else extent for i, extent in enumerate(shape)),
        tuple(stride if i == axis else 1 for i in range(rank)),
    )


def _axes(attributes: Slice) -> tuple[tuple[int, int, int], ...]:
    """(begin, size, stride) of rows, columns and channels."""
    found = tuple(zip(attributes.begin, attributes.size, attributes.strides, strict=True))
    return (((0, 1, 1),) * MAX_RANK + found)[-3:]


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    _, columns, channels = _axes(call.node.attributes)
    depth = map_size(call.inputs[0].shape)[2]
    return CStruct(
        "ek_slice_s8",
        {
            "first": columns[0] * depth + channels[0],
            "column_stride": columns[2] * depth,
            "channel_stride": channels[2],
            "channels": channels[1],
        },
    )


REF = Kernel(
    symbol="ek_slice_s8__ref",
    isa="ref",
    kind="rows",
    pack=_pack_ref,
    write_behind=BY_ROW,
    stack_bytes=72,
)


def _copied(call: Call) -> Features:
    """Whole rows, or the channels of every pixel."""
    height, width, channels = map_size(call.output.shape)
    columns = _axes(call.node.attributes)[1]
    if map_size(call.inputs[0].shape)[2] == channels and columns[2] == 1:
        return copied(call, bytes_each=width * channels, copies=height)
    return copied(call, bytes_each=channels, copies=height * width)


TUNED = tuned_twin(REF, features=_copied, stack_bytes=96, accepts=refuse_strided(REF))
S16 = int16_twin(REF, "ek_slice_s16__ref")


class SliceOperator(MovingOperator):
    name = "slice"
    attributes = Slice
    kernels = (TUNED, REF, S16)

    def output_shape(self, attributes: Slice, inputs: Sequence[Shape]) -> Shape:
        return attributes.size

    def verify(self, call: Call) -> None:
        attributes: Slice = call.node.attributes
        if len(call.inputs) != 1 or not call.activations:
            raise call.fail("it needs one input that is not a constant")
        shape = call.inputs[0].shape
        lists = (attributes.begin, attributes.size, attributes.strides)
        if any(len(values) != len(shape) for values in lists):
            raise call.fail(f"begin, size and strides must have {len(shape)} entries")
        for extent, begin, size, stride in zip(shape, *lists, strict=True):
            last = begin + (size - 1) * stride
            if size < 1 or stride == 0 or not (0 <= begin < extent and 0 <= last < extent):
                raise call.fail(f"{size} elements from {begin} by {stride} are outside {extent}")
        verify_one_type(call)
        for tensor in (call.inputs[0], call.output):
            verify_rank(call, tensor)

    def moved(self, call: Call, x: Array) -> Array:
        attributes: Slice = call.node.attributes
        lists = zip(attributes.begin, attributes.size, attributes.strides, strict=True)
        for axis, (begin, size, stride) in enumerate(lists):
            x = x.take(range(begin, begin + size * stride, stride), axis=axis)
        return np.ascontiguousarray(x)

    def row_map(self, call: Call) -> RowMap:
        """Every n-th row from the first one on is a window, any other run of rows a table."""
        begin, size, stride = _axes(call.node.attributes)[0]
        if begin == 0 and stride > 0:
            return Axis(1, stride)
        return row_table(begin + i * stride for i in range(size))

    def cases(self) -> Iterator[Case]:
        yield from self._int8_cases()
        yield from int16_cases(self._int8_cases())

    def _int8_cases(self) -> Iterator[Case]:
        yield _case("channels", (1, 4, 5, 7), Slice((0, 0, 0, 2), (1, 4, 5, 4), (1, 1, 1, 1)))
        yield _case("every_other_channel", (1, 3, 4, 7), axis_slice((1, 3, 4, 7), 3, 1, 3, 2))
        yield _case("crop", (1, 6, 7, 3), Slice((0, 1, 2, 0), (1, 4, 3, 3), (1, 1, 1, 1)))
        yield _case("strided_map", (1, 7, 6, 3), Slice((0, 0, 0, 0), (1, 3, 2, 3), (1, 3, 3, 1)))
        yield _case("rows_backwards", (1, 5, 4, 2), axis_slice((1, 5, 4, 2), 1, 4, 5, -1))
        yield _case("columns_backwards", (1, 3, 7, 2), axis_slice((1, 3, 7, 2), 2, 6, 3, -3))
        yield _case("channels_backwards", (1, 3, 2, 6), axis_slice((1, 3, 2, 6), 3, 4, 2, -4))
        yield _case(
            "all_backwards", (1, 3, 4, 5), Slice((0, 2, 3, 4), (1, 3, 4, 5), (1, -1, -1, -1))
        )
        yield _case("everything", (1, 3, 4, 5), Slice((0, 0, 0, 0), (1, 3, 4, 5), (1, 1, 1, 1)))
        yield _case("one_element", (1, 3, 4, 5), Slice((0, 2, 3, 4), (1, 1, 1, 1), (1, 1, 1, 1)))
        yield _case("first_rows", (1, 7, 3, 2), axis_slice((1, 7, 3, 2), 1, 0, 2, 2))
        yield _case("rank_3_rows", (6, 3, 4), Slice((4, 0, 0), (2, 3, 4), (-2, 1, 1)))
        yield _case("rank_3", (1, 6, 4), Slice((0, 1, 0), (1, 3, 4), (1, 2, 1)))
        yield _case("vector", (1, 10), axis_slice((1, 10), 1, 9, 4, -3))
        yield _case("rank_1", (10,), Slice((3,), (4,), (2,)))


def _case(name: str, shape: Shape, attributes: Slice) -> Case:
    quantization = Quantization(0.05, -3)
    graph = case_graph(
        "slice",
        inputs=[Tensor("x", shape, "int8", quantization)],
        output=Tensor("y", attributes.size, "int8", quantization),
        attributes=attributes,
        arithmetic=MovingArithmetic(),
        name=name,
    )
    return Case(name, graph)


OPERATOR: Operator = SliceOperator()
