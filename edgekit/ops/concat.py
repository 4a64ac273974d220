# SPDX-License-Identifier: Apache-2.0
"""Inputs side by side along one axis, each rescaled to the output's scale where it differs.

TensorFlow Lite's reference kernel copies int8 inputs and refuses unequal scales. Here an input with
another scale or zero point is rescaled with one rounding multiply, as ``requantize`` does; equal ones
have the exact identity (multiplier 2^30, shift 1).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import quantize_multiplier, requantize
from edgekit.ir import Array, Call, Quantization, Shape, Tensor, constant
from edgekit.kernel import BY_ROW, Binding, CStruct, CValue, Features, Kernel
from edgekit.layout import map_size
from edgekit.ops._elementwise import (
    quantized_operands,
    verify_one_type,
    verify_output_range,
    verify_rank,
    verify_scale,
)
from edgekit.ops._int16 import activation_range, int16_twin
from edgekit.ops._int16_cases import int16_cases
from edgekit.ops._operator import Case, Operator, Quantized, case_graph
from edgekit.window import Axis, RowMap

IDENTITY = (2**30, 1)
"""(multiplier, shift) that leaves every integer as it is."""


@dataclass(frozen=True)
class Concat:
    """The axis along which the inputs lie side by side, counted from the front."""

    axis: int


@dataclass(frozen=True)
class ConcatArithmetic:
    """One entry per input: clamp(scale(x - zero_point) + output_zero_point) to int8."""

    zero_points: tuple[int, ...]
    multipliers: tuple[int, ...]
    shifts: tuple[int, ...]
    output_zero_point: int

    def copies(self, position: int) -> bool:
        """Whether the integers of an input stay what they are."""
        pair = self.multipliers[position], self.shifts[position]
        return pair == IDENTITY and self.zero_points[position] == self.output_zero_point


def concat_arithmetic(
    inputs: Sequence[Quantization], output: Quantization, factors: Sequence[tuple[int, int]]
) -> ConcatArithmetic:
    """The parameters for inputs and output; ``factors`` are those of input / output scale."""
    pairs = [
        IDENTITY if source == output else pair for source, pair in zip(inputs, factors, strict=True)
    ]
    return ConcatArithmetic(
        zero_points=tuple(source.zero_point for source in inputs),
        multipliers=tuple(multiplier for multiplier, _ in pairs),
        shifts=tuple(shift for _, shift in pairs),
        output_zero_point=output.zero_point,
    )


def _rescaled(call: Call, position: int, x: Array) -> Array:
    """Integers of the input at ``position`` in the output's scale and type."""
    arithmetic: ConcatArithmetic = call.node.arithmetic
    minimum, maximum = activation_range(call)
    values: Array = requantize(
        x.astype(np.int64) - arithmetic.zero_points[position],
        arithmetic.multipliers[position],
        arithmetic.shifts[position],
        zero_point=arithmetic.output_zero_point,
        minimum=minimum,
        maximum=maximum,
    ).astype(call.output.dtype)
    return values


def _stacks(call: Call) -> bool:
    """Whether the inputs lie one below the other, so that each has rows of its own."""
    attributes: Concat = call.node.attributes
    return attributes.axis == len(call.output.shape) - 3


def _places(call: Call) -> dict[str, CValue]:
    """Struct members: the sizes of the inputs in a row of the output, and where they lie in it.

    Inputs one below the other are a single row of one channel.
    """
    sizes = [map_size(tensor.shape)[1:] for tensor in call.inputs]
    if _stacks(call):
        sizes = [(tensor.elements, 1) for tensor in call.inputs]
    widths, channels = (np.array(values, np.int32) for values in zip(*sizes, strict=True))
    along_channels = call.node.attributes.axis == len(call.output.shape) - 1
    moved, still = (channels, widths) if along_channels else (widths, channels)
    offsets, none = (np.cumsum(moved) - moved).astype(np.int32), np.zeros_like(moved)
    return {
        "input_count": len(call.inputs),
        "output_channels": int(channels.sum() if along_channels else still[0]),
        "widths": widths,
        "channels": channels,
        "column_offsets": none if along_channels else offsets,
        "channel_offsets": offsets if along_channels else none,
    }


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    arithmetic: ConcatArithmetic = call.node.arithmetic
    return CStruct(
        "ek_concat_s8",
        {
            **_places(call),
            "zero_points": np.array(arithmetic.zero_points, np.int32),
            "multipliers": np.array(arithmetic.multipliers, np.int32),
            "shifts": np.array(arithmetic.shifts, np.int32),
            "output_zero_point": arithmetic.output_zero_point,
        },
    )


def _pack_copy(call: Call, binding: Binding) -> CStruct:
    return CStruct("ek_concat_s8_copy", _places(call))


def _copy_refusal(call: Call) -> str | None:
    arithmetic: ConcatArithmetic = call.node.arithmetic
    if all(arithmetic.copies(position) for position in range(len(call.inputs))):
        return None
    return "it only copies; the scales of the inputs differ"


def _rows_refusal(call: Call) -> str | None:
    return "its inputs lie one below the other" if _stacks(call) else None


def _map_refusal(call: Call) -> str | None:
    return None if _stacks(call) else "its inputs lie side by side in every row"


def _map_features(call: Call) -> Features:
    """Every input is copied at once."""
    return {"layers": 1, "copies": len(call.inputs), "outputs": call.output.elements}


def _row_features(call: Call) -> Features:
    """Pixels are copied one by one; where they lie is asked of all columns for every input."""
    height, width, _ = map_size(call.output.shape)
    copies = sum(math.prod(map_size(tensor.shape)[:2]) for tensor in call.inputs)
    return {
        "rows": height,
        "row_inputs": height * len(call.inputs),
        "columns": height * width * len(call.inputs),
        "copies": copies,
        "outputs": call.output.elements,
    }


REF = Kernel(
    symbol="ek_concat_s8__ref",
    features=_map_features,
    isa="ref",
    kind="map",
    pack=_pack_ref,
    accepts=_map_refusal,
    stack_bytes=128,
)
REF_ROWS = dataclasses.replace(
    REF,
    symbol="ek_concat_s8__ref_rows",
    features=_row_features,
    kind="rows",
    accepts=_rows_refusal,
    write_behind=BY_ROW,
    stack_bytes=160,
)
COPY = Kernel(
    symbol="ek_concat_s8_copy__ref",
    isa="ref",
    kind="map",
    pack=_pack_copy,
    accepts=lambda call: _map_refusal(call) or _copy_refusal(call),
    features=_map_features,
    stack_bytes=96,
)


COPY_ROWS = dataclasses.replace(
    COPY,
    symbol="ek_concat_s8_copy__ref_rows",
    kind="rows",
    accepts=lambda call: _rows_refusal(call) or _copy_refusal(call),
    features=_row_features,
    write_behind=BY_ROW,
)


def _tables(call: Call) -> list[Array | None]:
    """The table of every input; none for those to copy."""
    values = np.arange(-128, 128)
    rescaled = (_rescaled(call, position, values) for position in range(len(call.inputs)))
    return [None if np.array_equal(table, values) else table for table in rescaled]


def _with_tables(features: Callable[[Call], Features]) -> Callable[[Call], Features]:
    """The features of the kernels that look up the elements of some inputs, and copy the others."""

    def counts(call: Call) -> Features:
        pairs = zip(call.inputs, _tables(call), strict=True)
        looked_up = sum(tensor.elements for tensor, table in pairs if table is not None)
        found = dict(features(call))
        copied = found.pop("outputs") - looked_up
        return {**found, "looked_up": looked_up, "copied": copied}

    return counts


def _pack_tables(call: Call, binding: Binding) -> CStruct:
    """One table for each other scale and zero point among the inputs."""
    tables: dict[bytes, int] = {}
    table_of = [
        -1 if table is None else tables.setdefault(table.tobytes(), len(tables))
        for table in _tables(call)
    ]
    return CStruct(
        "ek_concat_s8_table",
        {
            **_places(call),
            "table_of": np.array(table_of, np.int32),
            "tables": np.frombuffer(b"".join(tables) or bytes(1), np.int8),
        },
    )


TABLE = dataclasses.replace(
    REF,
    symbol="ek_concat_s8_table__c",
    features=_with_tables(_map_features),
    isa="c",
    pack=_pack_tables,
    stack_bytes=96,
)
TABLE_ROWS = dataclasses.replace(
    REF_ROWS,
    symbol="ek_concat_s8_table__c_rows",
    features=_with_tables(_row_features),
    isa="c",
    pack=_pack_tables,
    stack_bytes=128,
)
_ZERO_POINTS = ("zero_points", "output_zero_point")
S16 = int16_twin(REF, "ek_concat_s16__ref", without=_ZERO_POINTS)
S16_ROWS = int16_twin(REF_ROWS, "ek_concat_s16__ref_rows", without=_ZERO_POINTS)


class ConcatOperator(Operator):
    name = "concat"
    wants_equal_scales = True
    attributes = Concat
    arithmetic = ConcatArithmetic
    kernels = (COPY, COPY_ROWS, TABLE, TABLE_ROWS, REF, REF_ROWS, S16, S16_ROWS)

    def output_shape(self, attributes: Concat, inputs: Sequence[Shape]) -> Shape:
        axis = attributes.axis
        total = sum(shape[axis] for shape in inputs)
        return (*inputs[0][:axis], total, *inputs[0][axis + 1 :])

    def verify(self, call: Call) -> None:
        if not call.activations:
            raise call.fail("all of its inputs are constants; replace the node by its result")
        axis, rank = call.node.attributes.axis, len(call.inputs[0].shape)
        if not 0 <= axis < rank or (rank == 4 and axis == 0):
            raise call.fail(f"axis {axis} is not one of 0 to {rank - 1} behind the batch")
        verify_one_type(call)
        for tensor in (*call.inputs, call.output):
            verify_rank(call, tensor)
        rests = {(*t.shape[:axis], None, *t.shape[axis + 1 :]) for t in call.inputs}
        if len(rests) > 1:
            shapes = " and ".join(str(tensor.shape) for tensor in call.inputs)
            raise call.fail(f"shapes {shapes} differ in more than axis {axis}")
        if call.node.arithmetic is not None:
            self._verify_arithmetic(call)

    def _verify_arithmetic(self, call: Call) -> None:
        arithmetic: ConcatArithmetic = call.node.arithmetic
        lists = (arithmetic.zero_points, arithmetic.multipliers, arithmetic.shifts)
        if any(len(values) != len(call.inputs) for values in lists):
            raise call.fail(f"its integer parameters are not those of {len(call.inputs)} inputs")
        for multiplier, shift in zip(arithmetic.multipliers, arithmetic.shifts, strict=True):
            verify_scale(call, multiplier, shift)
        zero_points = (*arithmetic.zero_points, arithmetic.output_zero_point)
        verify_output_range(call, zero_points, *activation_range(call))

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        parts = [_rescaled(call, position, x) for position, x in enumerate(inputs)]
        return np.concatenate(parts, axis=call.node.attributes.axis)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        return np.concatenate(inputs, axis=call.node.attributes.axis)

    def quantize(self, call: Call) -> Quantized:
        constants, sources = quantized_operands(call)
        result = call.output.quantization
        assert result is not None
        factors = [quantize_multiplier(source.scale / result.scale) for source in sources]
        return Quantized(concat_arithmetic(sources, result, factors), constants)

    def row_map(self, call: Call) -> RowMap | None:
        return None if _stacks(call) else Axis(1)

    def runtime_operands(self, call: Call) -> tuple[Tensor, ...]:
        return call.inputs

    def cases(self) -> Iterator[Case]:
        yield from self._int8_cases()
        yield from int16_cases(self._int8_cases())

    def _int8_cases(self) -> Iterator[Case]:
        yield _case("channels", [(1, 4, 5, 3), (1, 4, 5, 7)], 3)
        yield _case("rows", [(1, 4, 5, 3), (1, 1, 5, 3)], 1)
        yield _case("columns", [(1, 4, 2, 3), (1, 4, 5, 3), (1, 4, 1, 3)], 2)
        yield _case("five_inputs", [(1, 2, 3, c) for c in (1, 2, 3, 4, 5)], 3)
        yield _case("one_input", [(1, 2, 3, 4)], 3)
        yield _case("one_element_each", [(1, 1, 1, 1), (1, 1, 1, 1)], 3)
        yield _case("vectors", [(1, 10), (1, 3)], 1)
        yield _case("rank_3", [(1, 6, 4), (1, 2, 4)], 1)
        yield _case("rank_3_rows", [(2, 6, 4), (3, 6, 4)], 0)
        yield _case("rank_1", [(6,), (5,)], 0)
        yield _case("input_twice", [(1, 3, 4, 5)] * 3, 3, names=("x0", "x0", "x1"))
        yield _case("constant_last", [(1, 3, 4, 5), (1, 3, 4, 2)], 3, constants=(1,))
        yield _case("constant_first", [(1, 3, 4, 5), (1, 1, 4, 5)], 1, constants=(0,))
        unequal = [Quantization(0.05, 3), Quantization(0.021, -128), Quantization(0.3, 127)]
        shapes: list[Shape] = [(1, 16, 16, 1), (1, 16, 16, 1), (1, 16, 16, 1)]
        yield _case("unequal_scales", shapes, 3, sources=unequal)
        yield _case("unequal_scales_rows", shapes, 1, sources=unequal)
        yield _case("unequal_scales_columns", shapes, 2, sources=unequal)
        shifted = [Quantization(0.05, zero_point) for zero_point in (-3, 60, -128)]
        yield _case("unequal_zero_points", shapes, 3, sources=shifted)
        ties = [Quantization(0.025, 0), Quantization(0.0125, 1), Quantization(0.05, -3)]
        yield _case("rounding_ties", shapes, 2, sources=ties)
        extreme = [Quantization(1e-12, 5), Quantization(2000.0, 0), Quantization(0.05, -3)]
        yield _case("scale_vanishes_and_saturates", shapes, 3, sources=extreme)


def _case(
    name: str,
    shapes: Sequence[Shape],
    axis: int,
    *,
    names: Sequence[str] | None = None,
    constants: tuple[int, ...] = (),
    sources: Sequence[Quantization] | None = None,
) -> Case:
    """Every int8 value is tried where an input has room for it."""
    result = Quantization(0.05, -3)
    labels = names or [f"x{position}" for position in range(len(shapes))]
    sources = sources or [result] * len(shapes)
    inputs = []
    for position, (shape, source) in enumerate(zip(shapes, sources, strict=True)):
        tensor = Tensor(labels[position], shape, "int8", source)
        if position in constants:
            values = np.resize(np.arange(-128, 128), shape).astype(np.int8)
            tensor = constant(tensor.name, values, quantization=source)
        inputs.append(tensor)
    factors = [quantize_multiplier(source.scale / result.scale) for source in sources]
    graph = case_graph(
        "concat",
        inputs=inputs,
        output=Tensor("y", OPERATOR.output_shape(Concat(axis), shapes), "int8", result),
        attributes=Concat(axis),
        arithmetic=concat_arithmetic(sources, result, factors),
        name=name,
    )
    distinct = {t.name: t.shape for t in inputs if not t.is_constant}.values()
    every = tuple(np.resize(np.arange(-128, 128), shape).astype(np.int8) for shape in distinct)
    return Case(name, graph, (every,))


OPERATOR = ConcatOperator()
