# SPDX-License-Identifier: Apache-2.0
"""Element-wise product of two operands that broadcast; either may be a constant."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import quantize_multiplier, requantize
from edgekit.ir import Array, Call, Shape, Tensor
from edgekit.kernel import BY_ELEMENT, Binding, CStruct, Kernel
from edgekit.layout import map_size
from edgekit.ops._elementwise import (
    broadcast_shape,
    can_flatten,
    clip_float,
    operand_strides,
    quantized_operands,
    row_window,
    verify_operands,
    verify_output_range,
    verify_scale,
)
from edgekit.ops._elementwise_cases import binary_cases, every_pair
from edgekit.ops._int16 import ARITHMETIC_STACK_BYTES, int16_twin
from edgekit.ops._int16_cases import int16_cases
from edgekit.ops._operator import Case, Operator, Quantized
from edgekit.ops._weighted import clamp_to_integers
from edgekit.window import Window


@dataclass(frozen=True)
class Mul:
    """The clamp that is fused behind the product (None: no bound)."""

    activation_min: float | None = None
    activation_max: float | None = None


@dataclass(frozen=True)
class MulArithmetic:
    """Integer parameters; ``zero_points`` has one entry per operand."""

    zero_points: tuple[int, int]
    multiplier: int
    shift: int
    output_zero_point: int
    minimum: int
    maximum: int


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    arithmetic: MulArithmetic = call.node.arithmetic
    first, second = (operand_strides(call, position, binding) for position in (0, 1))
    return CStruct(
        "ek_mul_s8",
        {
            "channels": map_size(call.output.shape)[2],
            "first_column_stride": first.column,
            "first_channel_stride": first.channel,
            "second_column_stride": second.column,
            "second_channel_stride": second.channel,
            "first_zero_point": arithmetic.zero_points[0],
            "second_zero_point": arithmetic.zero_points[1],
            "multiplier": arithmetic.multiplier,
            "shift": arithmetic.shift,
            "output_zero_point": arithmetic.output_zero_point,
            "minimum": arithmetic.minimum,
            "maximum": arithmetic.maximum,
        },
    )


REF = Kernel(
    symbol="ek_mul_s8__ref",
    isa="ref",
    kind="rows",
    pack=_pack_ref,
    instructions=lambda call: 35.0 * call.output.elements,
    write_behind=BY_ELEMENT,
    flat=True,
    stack_bytes=128,
)


S16 = int16_twin(
    REF,
    "ek_mul_s16__ref",
    without=("first_zero_point", "second_zero_point", "output_zero_point"),
    extra_stack_bytes=ARITHMETIC_STACK_BYTES,
)


class MulOperator(Operator):
    name = "mul"
    attributes = Mul
    arithmetic = MulArithmetic
    kernels = (REF, S16)

    def output_shape(self, attributes: Mul, inputs: Sequence[Shape]) -> Shape:
        shape = broadcast_shape(inputs)
        assert shape is not None
        return shape

    def verify(self, call: Call) -> None:
        verify_operands(call, count=2)
        arithmetic: MulArithmetic | None = call.node.arithmetic
        if arithmetic is None:
            return
        verify_scale(call, arithmetic.multiplier, arithmetic.shift)
        zero_points = (*arithmetic.zero_points, arithmetic.output_zero_point)
        verify_output_range(call, zero_points, arithmetic.minimum, arithmetic.maximum)

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        arithmetic: MulArithmetic = call.node.arithmetic
        first, second = (
            x.astype(np.int64) - zero_point
            for x, zero_point in zip(inputs, arithmetic.zero_points, strict=True)
        )
        values = requantize(
            first * second,
            arithmetic.multiplier,
            arithmetic.shift,
            zero_point=arithmetic.output_zero_point,
            minimum=arithmetic.minimum,
            maximum=arithmetic.maximum,
        )
        return values.astype(call.output.dtype)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        attributes: Mul = call.node.attributes
        product = np.multiply(inputs[0], inputs[1], dtype=np.float32)
        return clip_float(product, attributes.activation_min, attributes.activation_max)

    def quantize(self, call: Call) -> Quantized:
        attributes: Mul = call.node.attributes
        constants, (first, second) = quantized_operands(call)
        result = call.output.quantization
        assert result is not None
        multiplier, shift = quantize_multiplier(first.scale * second.scale / result.scale)
        activation = (attributes.activation_min, attributes.activation_max)
        low, high = clamp_to_integers(*activation, result, -128, 127)
        arithmetic = MulArithmetic(
            zero_points=(first.zero_point, second.zero_point),
            multiplier=multiplier,
            shift=shift,
            output_zero_point=result.zero_point,
            minimum=low,
            maximum=high,
        )
        return Quantized(arithmetic, constants)

    def window(self, call: Call) -> Window | None:
        return row_window(call)

    def runtime_operands(self, call: Call) -> tuple[Tensor, ...]:
        return call.inputs

    def flattens(self, call: Call) -> bool:
        return can_flatten(call)

    def cases(self) -> Iterator[Case]:
        yield from self._int8_cases()
        yield from int16_cases(self._int8_cases(), adjust=_finer)

    def _int8_cases(self) -> Iterator[Case]:
        noisy = MulArithmetic(
            zero_points=(-11, 37),
            multiplier=1_395_864_371,
            shift=-5,
            output_zero_point=-5,
            minimum=-128,
            maximum=127,
        )
        ties = MulArithmetic((0, 0), 2**30, -3, 0, -128, 127)
        first_tie = dataclasses.replace(ties, shift=0)
        clamped = dataclasses.replace(noisy, minimum=-5, maximum=60)
        extreme = dataclasses.replace(noisy, zero_points=(127, -128), shift=0)
        shifted = dataclasses.replace(noisy, multiplier=2**30, shift=2)
        wrapping = dataclasses.replace(noisy, multiplier=2**31 - 1, shift=30)
        yield from binary_cases("mul", Mul(), noisy)
        yield every_pair("mul", Mul(), ties, "rounding_ties")
        yield every_pair("mul", Mul(), first_tie, "ties_of_the_high_multiply")
        yield every_pair("mul", Mul(), clamped, "clamped_like_relu")
        yield every_pair("mul", Mul(), extreme, "saturates_both_ends")
        yield every_pair("mul", Mul(), shifted, "shift_to_the_left")
        yield every_pair("mul", Mul(), wrapping, "shift_wraps")


def _finer(arithmetic: MulArithmetic) -> MulArithmetic:
    """Products of int16 have 16 bits more, their output 8."""
    return dataclasses.replace(arithmetic, shift=max(arithmetic.shift - 8, -31))


OPERATOR = MulOperator()
