# SPDX-License-Identifier: Apache-2.0
"""Element-wise sum of two operands that broadcast; either may be a constant."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import multiply_by_quantized_multiplier, quantize_multiplier, requantize
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

LEFT_SHIFT = 20
"""Bits that TensorFlow Lite's int8 ADD gains before it scales the operands."""

MAX_LEFT_SHIFT = 22
"""With it, and factors below 1, the sum of two scaled operands stays inside int32."""

LEFT_SHIFT_INT16 = 15
"""The same for int16: TensorFlow Lite's choice, and the most that fits."""


@dataclass(frozen=True)
class Add:
    """The clamp that is fused behind the sum (None: no bound)."""

    activation_min: float | None = None
    activation_max: float | None = None


@dataclass(frozen=True)
class AddArithmetic:
    """Integer parameters; the pairs have one entry per operand.

    Each (x - zero_point) << left_shift is scaled by its factor < 1, the sum by the output's.
    """

    left_shift: int
    zero_points: tuple[int, int]
    multipliers: tuple[int, int]
    shifts: tuple[int, int]
    output_multiplier: int
    output_shift: int
    output_zero_point: int
    minimum: int
    maximum: int


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    arithmetic: AddArithmetic = call.node.arithmetic
    first, second = (operand_strides(call, position, binding) for position in (0, 1))
    return CStruct(
        "ek_add_s8",
        {
            "channels": map_size(call.output.shape)[2],
            "first_column_stride": first.column,
            "first_channel_stride": first.channel,
            "second_column_stride": second.column,
            "second_channel_stride": second.channel,
            "left_shift": arithmetic.left_shift,
            "first_zero_point": arithmetic.zero_points[0],
            "first_multiplier": arithmetic.multipliers[0],
            "first_shift": arithmetic.shifts[0],
            "second_zero_point": arithmetic.zero_points[1],
            "second_multiplier": arithmetic.multipliers[1],
            "second_shift": arithmetic.shifts[1],
            "output_multiplier": arithmetic.output_multiplier,
            "output_shift": arithmetic.output_shift,
            "output_zero_point": arithmetic.output_zero_point,
            "minimum": arithmetic.minimum,
            "maximum": arithmetic.maximum,
        },
    )


REF = Kernel(
    symbol="ek_add_s8__ref",
    isa="ref",
    kind="rows",
    pack=_pack_ref,
    instructions=lambda call: 60.0 * call.output.elements,
    write_behind=BY_ELEMENT,
    flat=True,
    stack_bytes=128,
)


S16 = int16_twin(
    REF,
    "ek_add_s16__ref",
    without=("first_zero_point", "second_zero_point", "output_zero_point"),
    extra_stack_bytes=ARITHMETIC_STACK_BYTES,
)


class AddOperator(Operator):
    name = "add"
    attributes = Add
    arithmetic = AddArithmetic
    kernels = (REF, S16)

    def output_shape(self, attributes: Add, inputs: Sequence[Shape]) -> Shape:
        shape = broadcast_shape(inputs)
        assert shape is not None
        return shape

    def verify(self, call: Call) -> None:
        verify_operands(call, count=2)
        arithmetic: AddArithmetic | None = call.node.arithmetic
        if arithmetic is None:
            return
        most = LEFT_SHIFT_INT16 if call.output.dtype == "int16" else MAX_LEFT_SHIFT
        if not 0 <= arithmetic.left_shift <= most:
            raise call.fail(f"left_shift {arithmetic.left_shift} is outside [0, {most}]")
        for multiplier, shift in zip(arithmetic.multipliers, arithmetic.shifts, strict=True):
            verify_scale(call, multiplier, shift, max_shift=0)
        verify_scale(call, arithmetic.output_multiplier, arithmetic.output_shift)
        zero_points = (*arithmetic.zero_points, arithmetic.output_zero_point)
        verify_output_range(call, zero_points, arithmetic.minimum, arithmetic.maximum)

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        arithmetic: AddArithmetic = call.node.arithmetic
        first, second = (
            multiply_by_quantized_multiplier(
                (x.astype(np.int64) - zero_point) << arithmetic.left_shift, multiplier, shift
            )
            for x, zero_point, multiplier, shift in zip(
                inputs,
                arithmetic.zero_points,
                arithmetic.multipliers,
                arithmetic.shifts,
                strict=True,
            )
        )
        values = requantize(
            first + second,
            arithmetic.output_multiplier,
            arithmetic.output_shift,
            zero_point=arithmetic.output_zero_point,
            minimum=arithmetic.minimum,
            maximum=arithmetic.maximum,
        )
        return values.astype(call.output.dtype)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        attributes: Add = call.node.attributes
        total = np.add(inputs[0], inputs[1], dtype=np.float32)
        return clip_float(total, attributes.activation_min, attributes.activation_max)

    def quantize(self, call: Call) -> Quantized:
        """The factors of TensorFlow Lite: operands to half of the larger scale, 20 bits finer."""
        attributes: Add = call.node.attributes
        constants, (first, second) = quantized_operands(call)
        result = call.output.quantization
        assert result is not None
        twice_max_scale = 2.0 * max(first.scale, second.scale)
        pairs = [quantize_multiplier(q.scale / twice_max_scale) for q in (first, second)]
        output = quantize_multiplier(twice_max_scale / (2.0**LEFT_SHIFT * result.scale))
        activation = (attributes.activation_min, attributes.activation_max)
        low, high = clamp_to_integers(*activation, result, -128, 127)
        arithmetic = AddArithmetic(
            left_shift=LEFT_SHIFT,
            zero_points=(first.zero_point, second.zero_point),
            multipliers=(pairs[0][0], pairs[1][0]),
            shifts=(pairs[0][1], pairs[1][1]),
            output_multiplier=output[0],
            output_shift=output[1],
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
        yield from int16_cases(self._int8_cases(), adjust=with_int16_shifts)

    def _int8_cases(self) -> Iterator[Case]:
        noisy = AddArithmetic(
            left_shift=LEFT_SHIFT,
            zero_points=(-11, 37),
            multipliers=(1_395_864_371, 2**30),
            shifts=(-1, 0),
            output_multiplier=1_717_986_918,
            output_shift=-19,
            output_zero_point=-5,
            minimum=-128,
            maximum=127,
        )
        clamped = dataclasses.replace(noisy, minimum=-5, maximum=60)
        extreme = dataclasses.replace(noisy, output_shift=-16)
        shifted = dataclasses.replace(noisy, left_shift=0, output_multiplier=2**30, output_shift=2)
        wrapping = dataclasses.replace(noisy, output_multiplier=2**31 - 1, output_shift=30)
        yield from binary_cases("add", Add(), noisy)
        yield every_pair("add", Add(), clamped, "clamped_like_relu")
        yield every_pair("add", Add(), extreme, "saturates_both_ends")
        yield every_pair("add", Add(), shifted, "output_shift_to_the_left")
        yield every_pair("add", Add(), wrapping, "output_shift_wraps")
        yield every_pair("add", Add(), _ties(left_shift=0, output_shift=-1), "rounding_ties")
        yield every_pair(
            "add", Add(), _ties(left_shift=LEFT_SHIFT, output_shift=-20), "ties_20_bits"
        )
        far = dataclasses.replace(
            noisy, multipliers=(2**30, 0), shifts=(0, 0), zero_points=(-128, 127)
        )
        yield every_pair("add", Add(), far, "second_scale_negligible")


def with_int16_shifts(arithmetic: AddArithmetic) -> AddArithmetic:
    """15 bits of headroom in place of 20."""
    less = arithmetic.left_shift - min(arithmetic.left_shift, LEFT_SHIFT_INT16)
    output_shift = min(arithmetic.output_shift + less, 30)
    return dataclasses.replace(
        arithmetic, left_shift=arithmetic.left_shift - less, output_shift=output_shift
    )


def _ties(*, left_shift: int, output_shift: int) -> AddArithmetic:
    """Factors of 1/2, 1/4 and a power of two: exact ties of both signs in every rounding."""
    return AddArithmetic(
        left_shift=left_shift,
        zero_points=(0, 0),
        multipliers=(2**30, 2**30),
        shifts=(0, -1),
        output_multiplier=2**30,
        output_shift=output_shift,
        output_zero_point=0,
        minimum=-128,
        maximum=127,
    )


OPERATOR = AddOperator()
