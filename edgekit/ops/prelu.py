# SPDX-License-Identifier: Apache-2.0
"""PReLU: x where x >= 0, else x times the second operand (one slope, or one per channel or element)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import multiply_by_quantized_multiplier, quantize_multiplier
from edgekit.ir import Array, Call, Quantization
from edgekit.ops._elementwise import verify_int8, verify_scale
from edgekit.ops._elementwise_binary import BinaryOperator
from edgekit.ops._elementwise_kernel import binary_kernel
from edgekit.ops._operator import Case


@dataclass(frozen=True)
class Prelu:
    """There is nothing to choose."""


@dataclass(frozen=True)
class PreluArithmetic:
    """With a = x - zero point: a scaled by the identity's factor, or a * (slope - zero point) by the
    slope's. ``zero_points`` are those of x and of the slopes.
    """

    zero_points: tuple[int, int]
    identity_multiplier: int
    identity_shift: int
    slope_multiplier: int
    slope_shift: int
    output_zero_point: int


REF = binary_kernel("prelu", operands=("input", "slope"))


class PreluOperator(BinaryOperator):
    name = "prelu"
    attributes = Prelu
    arithmetic = PreluArithmetic
    kernels = (REF,)

    def combine(self, arithmetic: PreluArithmetic, first: Array, second: Array) -> Array:
        above = multiply_by_quantized_multiplier(
            first, arithmetic.identity_multiplier, arithmetic.identity_shift
        )
        below = multiply_by_quantized_multiplier(
            first * second, arithmetic.slope_multiplier, arithmetic.slope_shift
        )
        return np.where(first >= 0, above, below)

    def verify_factors(self, call: Call, arithmetic: PreluArithmetic) -> None:
        verify_int8(call)
        verify_scale(call, arithmetic.identity_multiplier, arithmetic.identity_shift)
        verify_scale(call, arithmetic.slope_multiplier, arithmetic.slope_shift)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        x, slope = inputs
        return np.where(x >= 0, x, x * slope).astype(np.float32, copy=False)

    def choose_arithmetic(
        self, call: Call, operands: Sequence[Quantization], result: Quantization
    ) -> PreluArithmetic:
        """The factors of TensorFlow Lite, which computes them in float32."""
        source, slope = (np.float32(operand.scale) for operand in operands)
        identity = quantize_multiplier(float(source / np.float32(result.scale)))
        product = quantize_multiplier(float(source * slope / np.float32(result.scale)))
        zero_points = (operands[0].zero_point, operands[1].zero_point)
        return PreluArithmetic(zero_points, *identity, *product, result.zero_point)

    def cases(self) -> Iterator[Case]:
        return self.int8_cases()

    def trials(self) -> tuple[PreluArithmetic, Mapping[str, PreluArithmetic]]:
        noisy = PreluArithmetic(
            zero_points=(-11, 37),
            identity_multiplier=1_395_864_371,
            identity_shift=0,
            slope_multiplier=1_717_986_918,
            slope_shift=-6,
            output_zero_point=-5,
        )
        ties = PreluArithmetic((0, 0), 2**30, 0, 2**30, -3, 0)
        change = dataclasses.replace
        return noisy, {
            "rounding_ties": ties,
            "ties_of_the_high_multiply": change(ties, slope_shift=0),
            "saturates_both_ends": change(noisy, zero_points=(127, -128), slope_shift=0),
            "shift_to_the_left": change(noisy, identity_shift=3, slope_shift=2),
            "shift_wraps": change(noisy, identity_shift=30, slope_shift=30),
        }


OPERATOR = PreluOperator()
