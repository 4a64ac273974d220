# SPDX-License-Identifier: Apache-2.0
"""What minimum and maximum share: each operand is brought to the output's scale, then compared."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.arith import multiply_by_quantized_multiplier, quantize_multiplier
from edgekit.ir import Array, Call, Quantization, Shape, Tensor
from edgekit.kernel import BY_ELEMENT, Binding, CStruct, Kernel
from edgekit.layout import map_size
from edgekit.ops._elementwise import (
    broadcast_shape,
    can_flatten,
    operand_strides,
    quantized_operands,
    row_window,
    verify_operands,
    verify_output_range,
    verify_scale,
)
from edgekit.ops._elementwise_cases import binary_cases, every_pair
from edgekit.ops._int16 import ARITHMETIC_STACK_BYTES, activation_range, int16_twin
from edgekit.ops._int16_cases import int16_cases
from edgekit.ops._operator import Case, Operator, Quantized
from edgekit.window import Window

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


def extremum_kernel(name: str) -> Kernel:
    """The reference kernel of minimum or maximum."""

    def pack(call: Call, binding: Binding) -> CStruct:
        arithmetic: ExtremumArithmetic = call.node.arithmetic
        first, second = (operand_strides(call, position, binding) for position in (0, 1))
        return CStruct(
            f"ek_{name}_s8",
            {
                "channels": map_size(call.output.shape)[2],
                "first_column_stride": first.column,
                "first_channel_stride": first.channel,
                "second_column_stride": second.column,
                "second_channel_stride": second.channel,
                "first_zero_point": arithmetic.zero_points[0],
                "first_multiplier": arithmetic.multipliers[0],
                "first_shift": arithmetic.shifts[0],
                "second_zero_point": arithmetic.zero_points[1],
                "second_multiplier": arithmetic.multipliers[1],
                "second_shift": arithmetic.shifts[1],
                "output_zero_point": arithmetic.output_zero_point,
            },
        )

    return Kernel(
        symbol=f"ek_{name}_s8__ref",
        isa="ref",
        kind="rows",
        pack=pack,
        instructions=lambda call: 50.0 * call.output.elements,
        write_behind=BY_ELEMENT,
        flat=True,
        stack_bytes=128,
    )


def int16_extremum_kernel(kernel: Kernel, name: str) -> Kernel:
    """The int16 kernel beside it."""
    without = ("first_zero_point", "second_zero_point", "output_zero_point")
    return int16_twin(
        kernel,
        f"ek_{name}_s16__ref",
        without=without,
        extra_stack_bytes=ARITHMETIC_STACK_BYTES,
    )


class ExtremumOperator(Operator):
    """Everything but ``choose``: np.minimum or np.maximum."""

    arithmetic = ExtremumArithmetic

    @abstractmethod
    def choose(self, a: Array, b: Array) -> Array:
        """The element-wise extremum."""

    def output_shape(self, attributes: Any, inputs: Sequence[Shape]) -> Shape:
        shape = broadcast_shape(inputs)
        assert shape is not None
        return shape

    def verify(self, call: Call) -> None:
        verify_operands(call, count=2)
        arithmetic: ExtremumArithmetic | None = call.node.arithmetic
        if arithmetic is None:
            return
        for multiplier, shift in zip(arithmetic.multipliers, arithmetic.shifts, strict=True):
            verify_scale(call, multiplier, shift)
        zero_points = (*arithmetic.zero_points, arithmetic.output_zero_point)
        verify_output_range(call, zero_points, *activation_range(call))

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        arithmetic: ExtremumArithmetic = call.node.arithmetic
        first, second = (
            multiply_by_quantized_multiplier(
                x.astype(np.int64) - arithmetic.zero_points[i],
                arithmetic.multipliers[i],
                arithmetic.shifts[i],
            )
            for i, x in enumerate(inputs)
        )
        chosen = self.choose(first, second) + arithmetic.output_zero_point
        return np.clip(chosen, *activation_range(call)).astype(call.output.dtype)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        return self.choose(inputs[0], inputs[1]).astype(np.float32, copy=False)

    def quantize(self, call: Call) -> Quantized:
        constants, operands = quantized_operands(call)
        result = call.output.quantization
        assert result is not None
        return Quantized(extremum_arithmetic(operands, result), constants)

    def window(self, call: Call) -> Window | None:
        return row_window(call)

    def runtime_operands(self, call: Call) -> tuple[Tensor, ...]:
        return call.inputs

    def flattens(self, call: Call) -> bool:
        return can_flatten(call)

    def cases(self) -> Iterator[Case]:
        yield from self._int8_cases()
        yield from int16_cases(self._int8_cases())

    def _int8_cases(self) -> Iterator[Case]:
        equal = ExtremumArithmetic((3, 3), (IDENTITY[0],) * 2, (IDENTITY[1],) * 2, 3)
        noisy = ExtremumArithmetic((-11, 37), (1_395_864_371, 2**30), (1, -1), -5)
        ties = ExtremumArithmetic((0, 0), (2**30, 2**30), (0, -2), 0)
        extreme = dataclasses.replace(noisy, zero_points=(127, -128), shifts=(3, 2))
        wrapping = dataclasses.replace(noisy, multipliers=(2**31 - 1, 2**30), shifts=(30, 1))
        yield from binary_cases(self.name, self.attributes(), noisy)
        yield every_pair(self.name, self.attributes(), equal, "equal_scales")
        yield every_pair(self.name, self.attributes(), ties, "rounding_ties")
        yield every_pair(self.name, self.attributes(), extreme, "saturates_both_ends")
        yield every_pair(self.name, self.attributes(), wrapping, "shift_wraps")
