# SPDX-License-Identifier: Apache-2.0
"""Inputs side by side along one axis, each rescaled to the output's scale where it differs.

TensorFlow Lite's reference kernel copies int8 inputs and refuses unequal scales. Here an input with
another scale or zero point is rescaled with one rounding multiply, as ``requantize`` does; equal ones
have the exact identity (multiplier 2^30, shift 1).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import quantize_multiplier, requantize
from edgekit.ir import Array, Call, Quantization, Shape, Tensor, constant
from edgekit.kernel import Binding, CStruct, Kernel
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
from edgekit.window import Axis, Window

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


def _blocks(call: Call) -> tuple[int, Array]:
    """How often the inputs take turns, and how many elements of each go in one turn."""
    axis: int = call.node.attributes.axis
    blocks = [math.prod(tensor.shape[axis:]) for tensor in call.inputs]
    return math.prod(call.output.shape[:axis]), np.array(blocks, np.int32)


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    arithmetic: ConcatArithmetic = call.node.arithmetic
    turns, blocks = _blocks(call)
    return CStruct(
        "ek_concat_s8",
        {
            "input_count": len(call.inputs),
            "turns": turns,
            "block_elements": blocks,
            "zero_points": np.array(arithmetic.zero_points, np.int32),
            "multipliers": np.array(arithmetic.multipliers, np.int32),
            "shifts": np.array(arithmetic.shifts, np.int32),
            "output_zero_point": arithmetic.output_zero_point,
        },
    )


def _pack_copy(call: Call, binding: Binding) -> CStruct:
    turns, blocks = _blocks(call)
    return CStruct(
        "ek_concat_s8_copy",
        {"input_count": len(call.inputs), "turns": turns, "block_bytes": blocks},
    )


def _accepts_copy(call: Call) -> str | None:
    arithmetic: ConcatArithmetic = call.node.arithmetic
    if all(arithmetic.copies(position) for position in range(len(call.inputs))):
        return None
    return "it only copies; the scales of the inputs differ"


REF = Kernel(
    symbol="ek_concat_s8__ref",
    isa="ref",
    kind="map",
    pack=_pack_ref,
    instructions=lambda call: 30.0 * call.output.elements,
    stack_bytes=128,
)
COPY = Kernel(
    symbol="ek_concat_s8_copy__ref",
    isa="ref",
    kind="map",
    pack=_pack_copy,
    accepts=_accepts_copy,
    instructions=lambda call: call.output.elements + 20.0 * _blocks(call)[0] * len(call.inputs),
    stack_bytes=128,
)
S16 = int16_twin(REF, "ek_concat_s16__ref", without=("zero_points", "output_zero_point"))


class ConcatOperator(Operator):
    name = "concat"
    attributes = Concat
    arithmetic = ConcatArithmetic
    kernels = (COPY, REF, S16)

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
        arithmetic: ConcatArithmetic = call.node.arithmetic
        minimum, maximum = activation_range(call)
        parts = [
            requantize(
                x.astype(np.int64) - zero_point,
                multiplier,
                shift,
                zero_point=arithmetic.output_zero_point,
                minimum=minimum,
                maximum=maximum,
            )
            for x, zero_point, multiplier, shift in zip(
                inputs,
                arithmetic.zero_points,
                arithmetic.multipliers,
                arithmetic.shifts,
                strict=True,
            )
        ]
        return np.concatenate(parts, axis=call.node.attributes.axis).astype(call.output.dtype)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        return np.concatenate(inputs, axis=call.node.attributes.axis)

    def quantize(self, call: Call) -> Quantized:
        constants, sources = quantized_operands(call)
        result = call.output.quantization
        assert result is not None
        factors = [quantize_multiplier(source.scale / result.scale) for source in sources]
        return Quantized(concat_arithmetic(sources, result, factors), constants)

    def window(self, call: Call) -> Window | None:
        """Pixels side by side in the channels come row by row; other axes move rows or columns."""
        rank, height = len(call.output.shape), map_size(call.output.shape)[0]
        if call.node.attributes.axis != rank - 1 or rank < 3:
            return None
        aligned = all(map_size(tensor.shape)[0] == height for tensor in call.activations)
        return Window(Axis(1), Axis(1)) if aligned else None

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
        yield _case("rank_1", [(6,), (5,)], 0)
        yield _case("input_twice", [(1, 3, 4, 5)] * 3, 3, names=("x0", "x0", "x1"))
        yield _case("constant_last", [(1, 3, 4, 5), (1, 3, 4, 2)], 3, constants=(1,))
        yield _case("constant_first", [(1, 3, 4, 5), (1, 1, 4, 5)], 1, constants=(0,))
        unequal = [Quantization(0.05, 3), Quantization(0.021, -128), Quantization(0.3, 127)]
        shapes: list[Shape] = [(1, 16, 16, 1), (1, 16, 16, 1), (1, 16, 16, 1)]
        yield _case("unequal_scales", shapes, 3, sources=unequal)
        yield _case("unequal_scales_rows", shapes, 1, sources=unequal)
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
