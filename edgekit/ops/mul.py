# SPDX-License-Identifier: Apache-2.0
"""Element-wise product of two operands that broadcast; either may be a constant."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import multiply_by_quantized_multiplier, quantize_multiplier
from edgekit.ir import Array, Call, Quantization
from edgekit.ops._elementwise import verify_scale
from edgekit.ops._elementwise_binary import ClampedBinaryOperator
from edgekit.ops._elementwise_kernel import binary_kernel, int16_binary_kernel
from edgekit.ops._product import PRODUCT


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


REF = binary_kernel("mul")
S16 = int16_binary_kernel(REF)


class MulOperator(ClampedBinaryOperator):
    name = "mul"
    function = np.multiply
    attributes = Mul
    arithmetic = MulArithmetic
    kernels = (PRODUCT, REF, S16)

    def combine(self, arithmetic: MulArithmetic, first: Array, second: Array) -> Array:
        product = self.function(first, second)
        return multiply_by_quantized_multiplier(product, arithmetic.multiplier, arithmetic.shift)

    def verify_factors(self, call: Call, arithmetic: MulArithmetic) -> None:
        verify_scale(call, arithmetic.multiplier, arithmetic.shift)

    def choose_arithmetic(
        self, call: Call, operands: Sequence[Quantization], result: Quantization
    ) -> MulArithmetic:
        """The factor of TensorFlow Lite, which computes it in float32."""
        first, second = operands
        product = np.float32(first.scale) * np.float32(second.scale)
        multiplier, shift = quantize_multiplier(float(product / np.float32(result.scale)))
        zero_points = (first.zero_point, second.zero_point)
        clamp = self.quantized_clamp(call, result)
        return MulArithmetic(zero_points, multiplier, shift, result.zero_point, *clamp)

    def trials(self) -> tuple[MulArithmetic, Mapping[str, MulArithmetic]]:
        noisy = MulArithmetic(
            zero_points=(-11, 37),
            multiplier=1_395_864_371,
            shift=-5,
            output_zero_point=-5,
            minimum=-128,
            maximum=127,
        )
        ties = MulArithmetic((0, 0), 2**30, -3, 0, -128, 127)
        change = dataclasses.replace
        return noisy, {
            "rounding_ties": ties,
            "ties_of_the_high_multiply": change(ties, shift=0),
            "clamped_like_relu": change(noisy, minimum=-5, maximum=60),
            "clamped_by_half": change(noisy, minimum=-100, maximum=28),
            "rounding_ties_at_the_zero_point": change(ties, output_zero_point=-128),
            "rounding_ties_and_a_clamp": change(ties, minimum=-60, maximum=90),
            "saturates_both_ends": change(noisy, zero_points=(127, -128), shift=0),
            "shift_to_the_left": change(noisy, multiplier=2**30, shift=2),
            "shift_wraps": change(noisy, multiplier=2**31 - 1, shift=30),
        }

    def int16_trial(self, arithmetic: MulArithmetic) -> MulArithmetic:
        """Products of int16 have 16 bits more, their output 8."""
        return dataclasses.replace(arithmetic, shift=max(arithmetic.shift - 8, -31))


OPERATOR = MulOperator()
