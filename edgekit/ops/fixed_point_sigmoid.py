# SPDX-License-Identifier: Apache-2.0
"""Sigmoid and tanh of int16 in fixed point: one table of 256 entries, read with interpolation.

TensorFlow Lite's definition. The input becomes steps of 1 / (3 * 4096), of which 512 (256 for tanh,
which is 2 sigmoid(2 x) - 1) are an entry of the table; the output has scale 2^-15. int8 has
``lookup``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgekit.ir import Array, Call, Quantization, Shape, Tensor
from edgekit.kernel import BY_ELEMENT, Binding, CStruct, Kernel, flat_features
from edgekit.layout import map_size
from edgekit.ops._elementwise import row_window, verify_operands
from edgekit.ops._operator import Case, Operator, Quantized, case_graph
from edgekit.window import Window

Function = Literal["sigmoid", "tanh"]
OUTPUT_SCALE = 1.0 / 32768.0
STEPS_PER_UNIT = 3 * 4096
MAX_MULTIPLIER, MAX_SHIFT = 65535, 30
"""With them, products of int16 and their rounding stay inside int32."""


@dataclass(frozen=True)
class Curve:
    """How the interpolated table becomes the function: (table - above) >> shift, for inputs >= 0.

    For negative ones (below - table) >> shift. An entry is 2^bits steps.
    """

    bits: int
    shift: int
    above: int
    below: int
    saturated: int


CURVES: Mapping[str, Curve] = {
    "sigmoid": Curve(9, 10, 0, 1 << 25, 0x7FFF << 10),
    "tanh": Curve(8, 8, 1 << 23, 1 << 23, 0xFFFF << 8),
}


@dataclass(frozen=True)
class FixedPointSigmoid:
    """Which of the two functions."""

    function: Function


@dataclass(frozen=True)
class FixedPointSigmoidArithmetic:
    """(x * multiplier + half) >> shift are steps of 1 / (3 * 4096)."""

    multiplier: int
    shift: int


def steps_factor(scale: float) -> tuple[int, int]:
    """(multiplier, shift) of an input scale; the multiplier has 15 bits and is truncated."""
    factor, shift = scale * STEPS_PER_UNIT, 0
    while factor <= 32767.0 / 2.0 and shift <= 30:
        factor, shift = factor * 2.0, shift + 1
    return int(min(factor, 2.0**31)), shift


@functools.cache
def sigmoid_table() -> Array:
    """uint16 (256,): 65536 * sigmoid every 1/24, raised by half of the error of interpolation.

    The last entry is the largest number, which the function never reaches.
    """

    def sigmoid(x: Array) -> Array:
        values: Array = 65536.0 / (1.0 + np.exp(-x / 24.0))
        return values

    x = np.arange(256, dtype=np.float64)
    error = sigmoid(x + 0.5) - (sigmoid(x) + sigmoid(x + 1.0)) / 2.0
    rounded = np.floor(sigmoid(x) + error / 2.0 + 0.5)
    rounded[255] = 65535.0
    table: Array = rounded.astype(np.uint16)
    return table


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    arithmetic: FixedPointSigmoidArithmetic = call.node.arithmetic
    curve = CURVES[call.node.attributes.function]
    return CStruct(
        "ek_fixed_point_sigmoid_s16",
        {
            "table": sigmoid_table(),
            "channels": map_size(call.output.shape)[2],
            "multiplier": arithmetic.multiplier,
            "input_shift": arithmetic.shift,
            "bits": curve.bits,
            "output_shift": curve.shift,
            "above": curve.above,
            "below": curve.below,
            "saturated": curve.saturated,
        },
    )


REF = Kernel(
    symbol="ek_fixed_point_sigmoid_s16__ref",
    isa="ref",
    kind="rows",
    pack=_pack_ref,
    write_behind=BY_ELEMENT,
    flat=True,
    features=flat_features,
    stack_bytes=128,
)


class FixedPointSigmoidOperator(Operator):
    name = "fixed_point_sigmoid"
    is_elementwise = True
    attributes = FixedPointSigmoid
    arithmetic = FixedPointSigmoidArithmetic
    kernels = (REF,)

    def output_shape(self, attributes: FixedPointSigmoid, inputs: Sequence[Shape]) -> Shape:
        return inputs[0]

    def verify(self, call: Call) -> None:
        verify_operands(call, count=1)
        if call.node.attributes.function not in CURVES:
            raise call.fail(f"the function must be one of {', '.join(CURVES)}")
        arithmetic: FixedPointSigmoidArithmetic | None = call.node.arithmetic
        if arithmetic is None:
            return
        if call.output.dtype != "int16":
            raise call.fail(f"it computes int16, not {call.output.dtype}; use a lookup")
        if call.output.quantization != Quantization(OUTPUT_SCALE, 0):
            raise call.fail("the output must have scale 2^-15")
        if not 0 <= arithmetic.multiplier <= MAX_MULTIPLIER:
            raise call.fail(f"multiplier {arithmetic.multiplier} is outside [0, 2^16)")
        if not 0 <= arithmetic.shift <= MAX_SHIFT:
            raise call.fail(f"shift {arithmetic.shift} is outside [0, {MAX_SHIFT}]")

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        arithmetic: FixedPointSigmoidArithmetic = call.node.arithmetic
        curve = CURVES[call.node.attributes.function]
        half = (1 << arithmetic.shift) >> 1
        steps = (inputs[0].astype(np.int64) * arithmetic.multiplier + half) >> arithmetic.shift
        index = np.minimum(np.abs(steps) >> curve.bits, 255)
        entries = sigmoid_table().astype(np.int64)
        low, high = entries[index], entries[np.minimum(index + 1, 255)]
        rest = np.abs(steps) & ((1 << curve.bits) - 1)
        values = np.where(index >= 255, curve.saturated, (low << curve.bits) + rest * (high - low))
        round_up = 1 << (curve.shift - 1)
        above, below = values - curve.above + round_up, curve.below - values + round_up - 1
        result: Array = np.where(steps >= 0, above, below) >> curve.shift
        return result.astype(np.int16)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        x = inputs[0].astype(np.float64)
        if call.node.attributes.function == "tanh":
            return np.asarray(np.tanh(x), np.float32)
        return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x), np.float32)

    def quantize(self, call: Call) -> Quantized:
        source = call.inputs[0].quantization
        assert source is not None
        return Quantized(FixedPointSigmoidArithmetic(*steps_factor(source.scale)))

    def output_quantization(self, call: Call) -> Quantization | None:
        return Quantization(OUTPUT_SCALE, 0)

    def window(self, call: Call) -> Window | None:
        return row_window(call)

    def cases(self) -> Iterator[Case]:
        functions: tuple[Function, ...] = ("sigmoid", "tanh")
        for function in functions:
            yield _case(f"{function}_every_value", function, (1, 256, 64, 4), (3, 0))
            yield _case(f"{function}_power_of_two", function, (1, 256, 64, 4), (6, 0))
            yield _case(f"{function}_rounds", function, (1, 64, 1024, 1), (25165, 11))
            yield _case(f"{function}_saturates", function, (1, 65536), (MAX_MULTIPLIER, 0))
            yield _case(f"{function}_fine", function, (1, 65536), (32767, MAX_SHIFT))
            yield _case(f"{function}_odd_channels", function, (1, 3, 5, 7), (24576, 12))
            yield _case(f"{function}_one_element", function, (1, 1, 1, 1), (24576, 12))


def _case(name: str, function: Function, shape: Shape, factor: tuple[int, int]) -> Case:
    """Every int16 value is tried where the map has room for it."""
    graph = case_graph(
        "fixed_point_sigmoid",
        inputs=[Tensor("x", shape, "int16", Quantization(0.001, 0))],
        output=Tensor("y", shape, "int16", Quantization(OUTPUT_SCALE, 0)),
        attributes=FixedPointSigmoid(function),
        arithmetic=FixedPointSigmoidArithmetic(*factor),
        name=name,
    )
    values = np.resize(np.arange(-32768, 32768), shape).astype(np.int16)
    return Case(name, graph, ((values,),))


OPERATOR = FixedPointSigmoidOperator()
