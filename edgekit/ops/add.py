# SPDX-License-Identifier: Apache-2.0
"""Element-wise sum of two operands that broadcast; either may be a constant."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import multiply_by_quantized_multiplier, quantize_multiplier
from edgekit.ir import Array, Call, Quantization
from edgekit.kernel import Kernel
from edgekit.ops._elementwise import verify_scale
from edgekit.ops._elementwise_binary import (
    ClampedBinaryOperator,
    scale_operands,
    verify_operand_factors,
)
from edgekit.ops._elementwise_kernel import binary_kernel, int16_binary_kernel
from edgekit.ops._linear_sum import linear_sum_kernel

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


def _combine(arithmetic: AddArithmetic, first: Array, second: Array, function: np.ufunc) -> Array:
    """The sum or difference of the scaled operands, in steps of the output."""
    bits = arithmetic.left_shift
    total = function(*scale_operands(arithmetic, first << bits, second << bits))
    return multiply_by_quantized_multiplier(
        total, arithmetic.output_multiplier, arithmetic.output_shift
    )


def add_kernels(op: str, function: np.ufunc, *, sign: int) -> tuple[Kernel, Kernel, Kernel]:
    """The fast, the reference and the int16 kernel of add or sub.

    sign: -1 where the second operand is subtracted.
    """
    reference = binary_kernel(op)
    combine = functools.partial(_combine, function=function)
    linear = linear_sum_kernel(combine, sign=sign)
    return linear, reference, int16_binary_kernel(reference)


LINEAR, REF, S16 = add_kernels("add", np.add, sign=1)


class AddOperator(ClampedBinaryOperator):
    name = "add"
    function: np.ufunc = np.add
    attributes = Add
    arithmetic = AddArithmetic
    kernels = (LINEAR, REF, S16)

    def combine(self, arithmetic: AddArithmetic, first: Array, second: Array) -> Array:
        return _combine(arithmetic, first, second, self.function)

    def verify_factors(self, call: Call, arithmetic: AddArithmetic) -> None:
        most = LEFT_SHIFT_INT16 if call.output.dtype == "int16" else MAX_LEFT_SHIFT
        if not 0 <= arithmetic.left_shift <= most:
            raise call.fail(f"left_shift {arithmetic.left_shift} is outside [0, {most}]")
        verify_operand_factors(call, arithmetic, max_shift=0)
        verify_scale(call, arithmetic.output_multiplier, arithmetic.output_shift)

    def choose_arithmetic(
        self, call: Call, operands: Sequence[Quantization], result: Quantization
    ) -> AddArithmetic:
        """The factors of TensorFlow Lite: operands to half of the larger scale, 20 bits finer."""
        first, second = operands
        twice_max_scale = 2.0 * max(first.scale, second.scale)
        pairs = [quantize_multiplier(q.scale / twice_max_scale) for q in (first, second)]
        output = quantize_multiplier(twice_max_scale / (2.0**LEFT_SHIFT * result.scale))
        low, high = self.quantized_clamp(call, result)
        return AddArithmetic(
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

    def trials(self) -> tuple[AddArithmetic, Mapping[str, AddArithmetic]]:
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
        change = dataclasses.replace
        return noisy, {
            "clamped_like_relu": change(noisy, minimum=-5, maximum=60),
            "clamped_by_half": change(noisy, minimum=-100, maximum=28),
            "saturates_both_ends": change(noisy, output_shift=-16),
            "output_shift_to_the_left": change(
                noisy, left_shift=0, output_multiplier=2**30, output_shift=2
            ),
            "output_shift_wraps": change(noisy, output_multiplier=2**31 - 1, output_shift=30),
            "rounding_ties": _ties(left_shift=0, output_shift=-1),
            "ties_20_bits": _ties(left_shift=LEFT_SHIFT, output_shift=-20),
            "ties_and_a_clamp": change(
                _ties(left_shift=LEFT_SHIFT, output_shift=-20), minimum=-60, maximum=90
            ),
            "second_scale_negligible": change(
                noisy, multipliers=(2**30, 0), shifts=(0, 0), zero_points=(-128, 127)
            ),
        }

    def int16_trial(self, arithmetic: AddArithmetic) -> AddArithmetic:
        return with_int16_shifts(arithmetic)


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
