# SPDX-License-Identifier: Apache-2.0
"""What minimum and maximum share: each operand is brought to the output's scale, then compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import quantize_multiplier
from edgekit.ir import Array, Call, Quantization
from edgekit.kernel import Kernel
from edgekit.ops._elementwise_binary import (
    BinaryOperator,
    scale_operands,
    verify_operand_factors,
)
from edgekit.ops._elementwise_kernel import binary_kernel, int16_binary_kernel
from edgekit.ops._tuned import tuned_twin

IDENTITY = (2**30, 1)
"""The (multiplier, shift) that changes no value."""


@dataclass(frozen=True)
class ExtremumArithmetic:
    """extremum(scale(a - zero_point_a), scale(b - zero_point_b)) + output_zero_point, saturated.

    Where all scales and zero points are equal this is the extremum of the integers themselves.
    """

    zero_points: tuple[int, int]
    multipliers: tuple[int, int]
    shifts: tuple[int, int]
    output_zero_point: int


def extremum_arithmetic(
    operands: Sequence[Quantization], result: Quantization
) -> ExtremumArithmetic:
    """One rounding for each operand whose scale is not the output's."""
    pairs = [quantize_multiplier(operand.scale / result.scale) for operand in operands]
    return ExtremumArithmetic(
        zero_points=(operands[0].zero_point, operands[1].zero_point),
        multipliers=(pairs[0][0], pairs[1][0]),
        shifts=(pairs[0][1], pairs[1][1]),
        output_zero_point=result.zero_point,
    )


def extremum_kernels(op: str) -> tuple[Kernel, ...]:
    """The kernels of minimum or maximum: int8 of equal scales, int8, int16."""
    kernel = binary_kernel(op)
    tuned = tuned_twin(
        kernel,
        stack_bytes=96,
        accepts=_refuse_scales,
    )
    return tuned, kernel, int16_binary_kernel(kernel)


def _refuse_scales(call: Call) -> str | None:
    """Why the extremum is not that of the integers themselves, or None."""
    arithmetic: ExtremumArithmetic = call.node.arithmetic
    values = np.arange(-128, 128)
    zero_points = np.array(arithmetic.zero_points)
    scaled = scale_operands(arithmetic, *(values - zero_points[:, np.newaxis]))
    if all(np.array_equal(x + arithmetic.output_zero_point, values) for x in scaled):
        return None
    return "its scales and zero points are not all equal"


class ExtremumOperator(BinaryOperator):
    """Everything but ``function``: np.minimum or np.maximum."""

    arithmetic = ExtremumArithmetic
    function: np.ufunc

    def combine(self, arithmetic: ExtremumArithmetic, first: Array, second: Array) -> Array:
        chosen: Array = self.function(*scale_operands(arithmetic, first, second))
        return chosen

    def verify_factors(self, call: Call, arithmetic: ExtremumArithmetic) -> None:
        verify_operand_factors(call, arithmetic)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        chosen: Array = self.function(inputs[0], inputs[1], dtype=np.float32)
        return chosen

    def choose_arithmetic(
        self, call: Call, operands: Sequence[Quantization], result: Quantization
    ) -> ExtremumArithmetic:
        return extremum_arithmetic(operands, result)

    def trials(self) -> tuple[ExtremumArithmetic, Mapping[str, ExtremumArithmetic]]:
        noisy = ExtremumArithmetic((-11, 37), (1_395_864_371, 2**30), (1, -1), -5)
        change = dataclasses.replace
        return noisy, {
            "equal_scales": ExtremumArithmetic((3, 3), (IDENTITY[0],) * 2, (IDENTITY[1],) * 2, 3),
            "rounding_ties": ExtremumArithmetic((0, 0), (2**30, 2**30), (0, -2), 0),
            "saturates_both_ends": change(noisy, zero_points=(127, -128), shifts=(3, 2)),
            "shift_wraps": change(noisy, multipliers=(2**31 - 1, 2**30), shifts=(30, 1)),
        }
