# SPDX-License-Identifier: Apache-2.0
"""PReLU: x where x >= 0, else x times the second operand (one slope, or one per channel or element)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import multiply_by_quantized_multiplier, quantize_multiplier
from edgekit.ir import INTEGER_RANGE, Array, Call, Shape, Tensor
from edgekit.kernel import BY_ELEMENT, Binding, CStruct, Kernel
from edgekit.layout import map_size
from edgekit.ops._elementwise import (
    broadcast_shape,
    can_flatten,
    operand_strides,
    quantized_operands,
    row_window,
    verify_int8,
    verify_operands,
    verify_output_range,
    verify_scale,
)
from edgekit.ops._elementwise_cases import binary_cases, every_pair
from edgekit.ops._operator import Case, Operator, Quantized
from edgekit.window import Window

LOW, HIGH = INTEGER_RANGE["int8"]


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


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    arithmetic: PreluArithmetic = call.node.arithmetic
    first, second = (operand_strides(call, position, binding) for position in (0, 1))
    return CStruct(
        "ek_prelu_s8",
        {
            "channels": map_size(call.output.shape)[2],
            "input_column_stride": first.column,
            "input_channel_stride": first.channel,
            "slope_column_stride": second.column,
            "slope_channel_stride": second.channel,
            "input_zero_point": arithmetic.zero_points[0],
            "slope_zero_point": arithmetic.zero_points[1],
            "identity_multiplier": arithmetic.identity_multiplier,
            "identity_shift": arithmetic.identity_shift,
            "slope_multiplier": arithmetic.slope_multiplier,
            "slope_shift": arithmetic.slope_shift,
            "output_zero_point": arithmetic.output_zero_point,
        },
    )


REF = Kernel(
    symbol="ek_prelu_s8__ref",
    isa="ref",
    kind="rows",
    pack=_pack_ref,
    instructions=lambda call: 38.0 * call.output.elements,
    write_behind=BY_ELEMENT,
    flat=True,
    stack_bytes=128,
)


class PreluOperator(Operator):
    name = "prelu"
    attributes = Prelu
    arithmetic = PreluArithmetic
    kernels = (REF,)

    def output_shape(self, attributes: Prelu, inputs: Sequence[Shape]) -> Shape:
        shape = broadcast_shape(inputs)
        assert shape is not None
        return shape

    def verify(self, call: Call) -> None:
        verify_operands(call, count=2)
        verify_int8(call)
        arithmetic: PreluArithmetic | None = call.node.arithmetic
        if arithmetic is None:
            return
        verify_scale(call, arithmetic.identity_multiplier, arithmetic.identity_shift)
        verify_scale(call, arithmetic.slope_multiplier, arithmetic.slope_shift)
        zero_points = (*arithmetic.zero_points, arithmetic.output_zero_point)
        verify_output_range(call, zero_points, LOW, HIGH)

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        arithmetic: PreluArithmetic = call.node.arithmetic
        x, slope = (
            array.astype(np.int64) - zero_point
            for array, zero_point in zip(inputs, arithmetic.zero_points, strict=True)
        )
        values = np.where(
            x >= 0,
            multiply_by_quantized_multiplier(
                x, arithmetic.identity_multiplier, arithmetic.identity_shift
            ),
            multiply_by_quantized_multiplier(
                x * slope, arithmetic.slope_multiplier, arithmetic.slope_shift
            ),
        )
        return np.clip(values + arithmetic.output_zero_point, LOW, HIGH).astype(np.int8)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        x, slope = inputs
        return np.where(x >= 0, x, x * slope).astype(np.float32, copy=False)

    def quantize(self, call: Call) -> Quantized:
        constants, (source, slope) = quantized_operands(call)
        result = call.output.quantization
        assert result is not None
        identity = quantize_multiplier(source.scale / result.scale)
        product = quantize_multiplier(source.scale * slope.scale / result.scale)
        arithmetic = PreluArithmetic(
            zero_points=(source.zero_point, slope.zero_point),
            identity_multiplier=identity[0],
            identity_shift=identity[1],
            slope_multiplier=product[0],
            slope_shift=product[1],
            output_zero_point=result.zero_point,
        )
        return Quantized(arithmetic, constants)

    def window(self, call: Call) -> Window | None:
        return row_window(call)

    def runtime_operands(self, call: Call) -> tuple[Tensor, ...]:
        return call.inputs

    def flattens(self, call: Call) -> bool:
        return can_flatten(call)

    def cases(self) -> Iterator[Case]:
        noisy = PreluArithmetic(
            zero_points=(-11, 37),
            identity_multiplier=1_395_864_371,
            identity_shift=0,
            slope_multiplier=1_717_986_918,
            slope_shift=-6,
            output_zero_point=-5,
        )
        ties = PreluArithmetic((0, 0), 2**30, 0, 2**30, -3, 0)
        high_ties = dataclasses.replace(ties, slope_shift=0)
        extreme = dataclasses.replace(noisy, zero_points=(127, -128), slope_shift=0)
        left = dataclasses.replace(noisy, identity_shift=3, slope_shift=2)
        wrapping = dataclasses.replace(noisy, identity_shift=30, slope_shift=30)
        yield from binary_cases("prelu", Prelu(), noisy)
        yield every_pair("prelu", Prelu(), ties, "rounding_ties")
        yield every_pair("prelu", Prelu(), high_ties, "ties_of_the_high_multiply")
        yield every_pair("prelu", Prelu(), extreme, "saturates_both_ends")
        yield every_pair("prelu", Prelu(), left, "shift_to_the_left")
        yield every_pair("prelu", Prelu(), wrapping, "shift_wraps")


OPERATOR = PreluOperator()
