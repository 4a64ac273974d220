# SPDX-License-Identifier: Apache-2.0
"""A border around rows, columns and channels: one value, or the map itself mirrored or repeated."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from edgekit.arith import round_half_away
from edgekit.ir import Array, Call, Quantization, Shape, Tensor
from edgekit.kernel import BY_ROW, Binding, CStruct, Features, Kernel
from edgekit.layout import map_size
from edgekit.ops._elementwise import verify_operands, verify_output_range
from edgekit.ops._int16 import int16_twin
from edgekit.ops._int16_cases import int16_cases
from edgekit.ops._moving import MAX_TABLE, row_table
from edgekit.ops._operator import Case, Operator, Quantized, case_graph
from edgekit.ops._tuned import copied, tuned_twin
from edgekit.window import Axis, RowMap

PadMode = Literal["constant", "reflect", "symmetric", "replicate", "circular"]
NUMPY_MODES: Mapping[str, Any] = {
    "reflect": "reflect",
    "symmetric": "symmetric",
    "replicate": "edge",
    "circular": "wrap",
}


@dataclass(frozen=True)
class Pad:
    """Elements in front of and behind every dimension; none for the batch.

    mode: "constant" writes ``value``; "reflect" mirrors without the edge, "symmetric" with it;
    "replicate" repeats the edge; "circular" goes on at the other side.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    mode: PadMode = "constant"
    value: float = 0.0


@dataclass(frozen=True)
class PadArithmetic:
    """The integer of a constant border, usually the zero point; the other modes do not use it."""

    value: int


def _paddings(call: Call) -> tuple[tuple[int, int], ...]:
    """(before, after) of rows, columns and channels."""
    attributes: Pad = call.node.attributes
    before, after = ((0, 0, 0) + amounts for amounts in (attributes.before, attributes.after))
    return tuple(zip(before[-3:], after[-3:], strict=True))


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    _, columns, channels = _paddings(call)
    return CStruct(
        "ek_pad_s8",
        {
            "input_width": map_size(call.inputs[0].shape)[1],
            "input_channels": map_size(call.inputs[0].shape)[2],
            "output_channels": map_size(call.output.shape)[2],
            "columns_before": columns[0],
            "channels_before": channels[0],
            "value": call.node.arithmetic.value,
        },
    )


def _mirrored_places(call: Call) -> Iterator[Array]:
    """The input row of every output row, then the same of columns and channels."""
    mode = NUMPY_MODES[call.node.attributes.mode]
    sizes = map_size(call.inputs[0].shape)
    for size, amounts in zip(sizes, _paddings(call), strict=True):
        yield np.pad(np.arange(size), amounts, mode=mode).astype(np.uint16)


def _pack_mirrored(call: Call, binding: Binding) -> CStruct:
    _, columns, channels = _mirrored_places(call)
    return CStruct(
        "ek_mirror_pad_s8",
        {
            "columns": columns,
            "channels": channels,
            "input_channels": map_size(call.inputs[0].shape)[2],
            "output_channels": channels.size,
        },
    )


def _is_constant(call: Call) -> bool:
    mode: PadMode = call.node.attributes.mode
    return mode == "constant"


REF = Kernel(
    symbol="ek_pad_s8__ref",
    isa="ref",
    kind="rows",
    pack=_pack_ref,
    accepts=lambda call: None if _is_constant(call) else "it writes one value",
    write_behind=BY_ROW,
    stack_bytes=96,
)


def _copied(call: Call) -> Features:
    """Whole rows, or the channels of every pixel where they have a border."""
    height, width, channels = map_size(call.output.shape)
    if map_size(call.inputs[0].shape)[2] == channels:
        return {"rows": height, "rows_bytes": height * width * channels}
    return copied(call, bytes_each=channels, copies=2 * height * width)


TUNED = tuned_twin(REF, features=_copied, stack_bytes=128)
MIRROR_REF = Kernel(
    symbol="ek_mirror_pad_s8__ref",
    isa="ref",
    kind="rows",
    pack=_pack_mirrored,
    accepts=lambda call: "it reads the map only" if _is_constant(call) else None,
    write_behind=BY_ROW,
    stack_bytes=72,
)
S16 = int16_twin(REF, "ek_pad_s16__ref")
S16_MIRRORED = int16_twin(MIRROR_REF, "ek_mirror_pad_s16__ref")


class PadOperator(Operator):
    name = "pad"
    attributes = Pad
    arithmetic = PadArithmetic
    kernels = (TUNED, REF, MIRROR_REF, S16, S16_MIRRORED)

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
        if attributes.mode == "constant":
            _verify_value(call)
        else:
            _verify_reach(call)

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        return _pad(inputs[0], call.node.attributes, call.node.arithmetic.value)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        return _pad(inputs[0], call.node.attributes, call.node.attributes.value)

    def quantize(self, call: Call) -> Quantized:
        """The value saturates where it is outside the range of the map."""
        source = call.inputs[0].quantization
        assert source is not None
        steps = float(round_half_away(call.node.attributes.value / source.scale))
        return Quantized(PadArithmetic(int(min(max(steps + source.zero_point, -128), 127))))

    def output_quantization(self, call: Call) -> Quantization | None:
        return call.inputs[0].quantization

    def row_map(self, call: Call) -> RowMap:
        """A row of the input, or one of padding; mirrored rows are not at a fixed distance."""
        if not _is_constant(call):
            return row_table(next(_mirrored_places(call)))
        (before, after), _, _ = _paddings(call)
        return Axis(1, 1, 1, before, after)

    def cases(self) -> Iterator[Case]:
        yield from self._int8_cases()
        yield from int16_cases(self._int8_cases())

    def _int8_cases(self) -> Iterator[Case]:
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
        modes: tuple[PadMode, ...] = ("reflect", "symmetric", "replicate", "circular")
        for mode in modes:
            yield _case(f"{mode}_map", (1, 4, 5, 3), (0, 1, 2, 0), (0, 3, 1, 0), 0, mode)
            yield _case(f"{mode}_channels", (1, 2, 3, 5), (0, 0, 0, 4), (0, 0, 0, 1), 0, mode)
            yield _case(f"{mode}_rank_3", (1, 6, 3), (0, 5, 0), (0, 2, 2), 0, mode)
        yield _case("replicate_one_pixel", (1, 1, 1, 3), (0, 2, 0, 0), (0, 1, 4, 0), 0, "replicate")
        yield _case("symmetric_whole", (1, 3, 2, 1), (0, 3, 2, 0), (0, 3, 2, 0), 0, "symmetric")


def _verify_value(call: Call) -> None:
    if math.isnan(call.node.attributes.value):
        raise call.fail("the padding value is not a number")
    if call.node.arithmetic is not None:
        value = call.node.arithmetic.value
        verify_output_range(call, (), value, value)


def _verify_reach(call: Call) -> None:
    """Mirrored or repeated borders take every element at most once more on each side."""
    attributes: Pad = call.node.attributes
    if attributes.mode not in NUMPY_MODES:
        raise call.fail(f"mode '{attributes.mode}' is not one of {', '.join(NUMPY_MODES)}")
    edge = 1 if attributes.mode == "reflect" else 0
    sizes = zip(call.inputs[0].shape, attributes.before, attributes.after, strict=True)
    for size, before, after in sizes:
        if size + before + after > MAX_TABLE:
            raise call.fail(f"a side of {size + before + after} is more than {MAX_TABLE}")
        if attributes.mode != "replicate" and max(before, after) > size - edge:
            raise call.fail(
                f"padding {max(before, after)} of {size} elements; {attributes.mode} reaches "
                f"{size - edge} at most"
            )


def _pad(x: Array, attributes: Pad, value: float) -> Array:
    amounts = tuple(zip(attributes.before, attributes.after, strict=True))
    if attributes.mode == "constant":
        return np.pad(x, amounts, constant_values=value)
    padded: Array = np.pad(x, amounts, mode=NUMPY_MODES[attributes.mode])
    return padded


def _case(
    name: str,
    shape: Shape,
    before: tuple[int, ...],
    after: tuple[int, ...],
    value: int,
    mode: PadMode = "constant",
) -> Case:
    attributes = Pad(before, after, mode)
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
