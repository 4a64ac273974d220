# SPDX-License-Identifier: Apache-2.0
"""The integers of ADD and SUB: 20 bits of headroom for int8, 15 for int16, or only shifts."""

from __future__ import annotations

from edgekit.converters.tflite import multipliers
from edgekit.converters.tflite.int16 import WITHOUT_SCALING, power_of_two_shifts
from edgekit.converters.tflite.operation import Operation
from edgekit.ops.add import AddArithmetic


def sum_arithmetic(operation: Operation) -> AddArithmetic:
    """The factors of both operands and of their sum (or difference), and the clamp."""
    operation.require(inputs=(2,))
    operation.require_one_type()
    a, b = (operation.quantization(operation.input(position)) for position in (0, 1))
    result = operation.output_quantization()
    shifts = power_of_two_shifts(operation, a, b, result)
    if shifts is None:
        left_shift, pairs = _general(operation)
    else:
        left_shift = 0
        pairs = [(WITHOUT_SCALING[0], shift) for shift in (*shifts, WITHOUT_SCALING[1])]
    minimum, maximum = operation.clamp(result)
    return AddArithmetic(
        left_shift=left_shift,
        zero_points=(a.zero_point, b.zero_point),
        multipliers=(pairs[0][0], pairs[1][0]),
        shifts=(pairs[0][1], pairs[1][1]),
        output_multiplier=pairs[2][0],
        output_shift=pairs[2][1],
        output_zero_point=result.zero_point,
        minimum=minimum,
        maximum=maximum,
    )


def _general(operation: Operation) -> tuple[int, list[tuple[int, int]]]:
    """The left shift, and (multiplier, shift) of both operands and of their sum."""
    tensors = (operation.input(0), operation.input(1), operation.output)
    scales = [operation.quantization(tensor).scale for tensor in tensors]
    first, second, of_the_sum = multipliers.add_factors(*scales)
    left_shift = multipliers.ADD_LEFT_SHIFT
    if operation.is_int16:
        left_shift = multipliers.ADD_LEFT_SHIFT_INT16
        of_the_sum *= 2.0 ** (multipliers.ADD_LEFT_SHIFT - left_shift)
    if of_the_sum >= 1.0:
        raise operation.fail(
            f"its input scales are too far from the output scale for TFLite's {operation.record.name}"
        )
    factors = (first, second, of_the_sum)
    return left_shift, [operation.multiplier(factor) for factor in factors]
