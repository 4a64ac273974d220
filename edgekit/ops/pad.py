# SPDX-License-Identifier: Apache-2.0
"""A constant border around the rows, columns and channels of a map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call, Quantization, Shape, Tensor
from edgekit.kernel import Binding, CStruct, Kernel
from edgekit.layout import map_size
from edgekit.ops._elementwise import verify_operands, verify_output_range
from edgekit.ops._operator import Case, Operator, Quantized, case_graph


@dataclass(frozen=True)
class Pad:
    """Elements in front of and behind every dimension; none for the batch."""

    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True)
class PadArithmetic:
    """The integer of the border, usually the zero point."""

    value: int


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    attributes: Pad = call.node.attributes
    input_height, input_width, input_channels = map_size(call.inputs[0].shape)
    output_height, output_width, output_channels = map_size(call.output.shape)
    top, left, front = ((0, 0, 0) + attributes.before)[-3:]
    return CStruct(
        "ek_pad_s8",
        {
            "input_height": input_height,
            "input_width": input_width,
            "input_channels": input_channels,
            "output_height": output_height,
            "output_width": output_width,
            "output_channels": output_channels,
            "rows_before": top,
            "columns_before": left,
            "channels_before": front,
            "value": call.node.arithmetic.value,
        },
    )


REF = Kernel(
    symbol="ek_pad_s8__ref",
    isa="ref",
    kind="map",
    pack=_pack_ref,
    instructions=lambda call: 15.0 * call.output.elements,
    stack_bytes=128,
)


class PadOperator(Operator):
    name = "pad"
    attributes = Pad
    arithmetic = PadArithmetic
    kernels = (REF,)

    def output_shape(self, attributes: Pad, inputs: Sequence[Shape]) -> Shape:
        sizes = zip(attributes.before, inputs[0], attributes.after, strict=True)
        return tuple(before + size + after for before, size, after in sizes)

    def verify(self, call: Call) -> None:
        attributes: Pad = call.node.attributes
        verify_operands(call, count=1)
        rank = len(call.inputs[0].shape)
        if len(attributes.before) != rank or len(attributes.after) != rank:
            raise call.fail(f"the padding must have {rank} entries, one per dimension of its input")
        for label, amounts in (("before", attributes.before), ("after", attributes.after)):
            if any(amount < 0 for amount in amounts):
                raise call.fail(f"padding {label} {amounts} must not be negative; use a slice")
        if rank == 4 and (attributes.before[0] or attributes.after[0]):
            raise call.fail("padding of the batch dimension is not supported; remove it")
        if call.node.arithmetic is not None:
            value = call.node.arithmetic.value
            verify_output_range(call, (), value, value)

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        return _pad(inputs[0], call.node.attributes, call.node.arithmetic.value)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        return _pad(inputs[0], call.node.attributes, 0)

    def quantize(self, call: Call) -> Quantized:
        source = call.inputs[0].quantization
        assert source is not None
        return Quantized(PadArithmetic(value=source.zero_point))

    def output_quantization(self, call: Call) -> Quantization | None:
        return call.inputs[0].quantization

    def cases(self) -> Iterator[Case]:
        yield _case("rows_and_columns", (1, 4, 5, 3), (0, 1, 1, 0), (0, 1, 1, 0), -7)
        yield _case("asymmetric_like_same_stride_2", (1, 6, 6, 4), (0, 0, 0, 0), (0, 1, 1, 0), -128)
        yield _case("channels", (1, 3, 4, 5), (0, 0, 0, 2), (0, 0, 0, 1), 127)
        yield _case("everything_uneven", (1, 2, 3, 5), (0, 3, 1, 2), (0, 1, 4, 3), -11)
        yield _case("rows_only", (1, 3, 4, 1), (0, 2, 0, 0), (0, 5, 0, 0), 0)
        yield _case("columns_only", (1, 3, 4, 1), (0, 0, 7, 0), (0, 0, 0, 0), 1)
        yield _case("one_element", (1, 1, 1, 1), (0, 1, 2, 3), (0, 3, 2, 1), -1)
        yield _case("no_padding", (1, 3, 2, 5), (0, 0, 0, 0), (0, 0, 0, 0), 5)
        yield _case("rank_3", (1, 6, 4), (0, 1, 0), (0, 2, 1), -3)
        yield _case("vector", (1, 10), (0, 3), (0, 2), -128)


def _pad(x: Array, attributes: Pad, value: int) -> Array:
    amounts = tuple(zip(attributes.before, attributes.after, strict=True))
    return np.pad(x, amounts, constant_values=value)


def _case(
    name: str, shape: Shape, before: tuple[int, ...], after: tuple[int, ...], value: int
) -> Case:
    attributes = Pad(before, after)
    quantization = Quantization(0.05, value)
    output_shape = OPERATOR.output_shape(attributes, [shape])
    graph = case_graph(
        "pad",
        inputs=[Tensor("x", shape, "int8", quantization)],
        output=Tensor("y", output_shape, "int8", quantization),
        attributes=attributes,
        arithmetic=PadArithmetic(value),
        name=name,
    )
    return Case(name, graph)


OPERATOR = PadOperator()
