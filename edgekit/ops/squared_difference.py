# SPDX-License-Identifier: Apache-2.0
"""Element-wise square of a difference of two operands that broadcast; either may be a constant."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import multiply_by_quantized_multiplier, quantize_multiplier
from edgekit.ir import Array, Call, Quantization
from edgekit.ops._elementwise import verify_int8, verify_scale
from edgekit.ops._elementwise_binary import BinaryOperator, scale_operands, verify_operand_factors
from edgekit.ops._elementwise_kernel import binary_kernel
from edgekit.ops._operator import Case

LEFT_SHIFT = 7
"""Bits that TensorFlow Lite gains before it scales the operands: the most for which the square fits."""


@dataclass(frozen=True)
class SquaredDifference:
    """There is nothing to choose."""


@dataclass(frozen=True)
class SquaredDifferenceArithmetic:
    """Integer parameters; the pairs have one entry per operand.

    Each (x - zero_point) << left_shift is scaled by its factor <= 1/2, the square of their difference
    by the output's.
    """

    left_shift: int
    zero_points: tuple[int, int]
    multipliers: tuple[int, int]
    shifts: tuple[int, int]
    output_multiplier: int
    output_shift: int
    output_zero_point: int


REF = binary_kernel("squared_difference")


class SquaredDifferenceOperator(BinaryOperator):
    name = "squared_difference"
    attributes = SquaredDifference
    arithmetic = SquaredDifferenceArithmetic
    kernels = (REF,)

    def verify(self, call: Call) -> None:
        super().verify(call)
        verify_int8(call)

    def verify_factors(self, call: Call, arithmetic: SquaredDifferenceArithmetic) -> None:
        if not 0 <= arithmetic.left_shift <= LEFT_SHIFT:
            raise call.fail(f"left_shift {arithmetic.left_shift} is outside [0, {LEFT_SHIFT}]")
        verify_operand_factors(call, arithmetic, max_shift=0)
        for multiplier, shift in zip(arithmetic.multipliers, arithmetic.shifts, strict=True):
            if shift == 0 and multiplier > 2**30:
                raise call.fail("the factor of an operand is above 1/2, so that a square overflows")
        verify_scale(call, arithmetic.output_multiplier, arithmetic.output_shift)

    def combine(
        self, arithmetic: SquaredDifferenceArithmetic, first: Array, second: Array
    ) -> Array:
        shift = arithmetic.left_shift
        a, b = scale_operands(arithmetic, first << shift, second << shift)
        return multiply_by_quantized_multiplier(
            (a - b) ** 2, arithmetic.output_multiplier, arithmetic.output_shift
        )

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        difference = np.subtract(inputs[0], inputs[1], dtype=np.float32)
        squares: Array = difference * difference
        return squares

    def choose_arithmetic(
        self, call: Call, operands: Sequence[Quantization], result: Quantization
    ) -> SquaredDifferenceArithmetic:
        """The factors of TensorFlow Lite: operands to half of the larger scale, 7 bits finer."""
        first, second = operands
        twice_max_scale = 2.0 * max(first.scale, second.scale)
        pairs = [quantize_multiplier(q.scale / twice_max_scale) for q in operands]
        output = quantize_multiplier(twice_max_scale**2 / (4.0**LEFT_SHIFT * result.scale))
        return SquaredDifferenceArithmetic(
            left_shift=LEFT_SHIFT,
            zero_points=(first.zero_point, second.zero_point),
            multipliers=(pairs[0][0], pairs[1][0]),
            shifts=(pairs[0][1], pairs[1][1]),
            output_multiplier=output[0],
            output_shift=output[1],
            output_zero_point=result.zero_point,
        )

    def cases(self) -> Iterator[Case]:
        return self.int8_cases()

    def trials(
        self,
    ) -> tuple[SquaredDifferenceArithmetic, Mapping[str, SquaredDifferenceArithmetic]]:
        noisy = SquaredDifferenceArithmetic(
            left_shift=LEFT_SHIFT,
            zero_points=(-11, 37),
            multipliers=(1_395_864_371, 2**30),
            shifts=(-1, 0),
            output_multiplier=1_717_986_918,
            output_shift=-19,
            output_zero_point=-5,
        )
        halves = dataclasses.replace(noisy, zero_points=(0, 0), multipliers=(2**30, 2**30))
        exact = dataclasses.replace(halves, shifts=(0, 0), output_multiplier=2**30)
        return noisy, {
            "largest_square": dataclasses.replace(
                exact, zero_points=(-128, 127), output_shift=-22, output_zero_point=-128
            ),
            "saturates": dataclasses.replace(noisy, output_shift=-12),
            "output_shift_to_the_left": dataclasses.replace(exact, left_shift=0, output_shift=2),
            "output_shift_wraps": dataclasses.replace(
                noisy, output_multiplier=2**31 - 1, output_shift=30
            ),
            "ties_of_the_operands": dataclasses.replace(
                exact, left_shift=0, shifts=(0, -2), output_shift=-3
            ),
            "ties_of_the_square": dataclasses.replace(exact, left_shift=1, output_shift=-5),
            "ties_of_the_high_multiply": dataclasses.replace(exact, left_shift=1, output_shift=0),
            "second_scale_negligible": dataclasses.replace(noisy, multipliers=(2**30, 0)),
        }


OPERATOR = SquaredDifferenceOperator()
