# SPDX-License-Identifier: Apache-2.0
"""What operators of two operands share that broadcast: zero points, checks, quantization, cases."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from edgekit.arith import multiply_by_quantized_multiplier
from edgekit.ir import Array, Call, Quantization, Shape, Tensor
from edgekit.ops._elementwise import (
    broadcast_shape,
    can_flatten,
    clip_float,
    quantized_operands,
    row_window,
    verify_operands,
    verify_output_range,
    verify_scale,
)
from edgekit.ops._elementwise_cases import binary_cases, every_pair
from edgekit.ops._int16 import activation_range
from edgekit.ops._int16_cases import int16_cases
from edgekit.ops._operator import Case, Operator, Quantized
from edgekit.ops._weighted import clamp_to_integers, fused_clamp
from edgekit.window import Window


class BinaryOperator(Operator):
    """One function of two elements, either of which may be a constant.

    Its arithmetic has ``zero_points``, one per operand, and ``output_zero_point``.
    """

    is_elementwise = True

    @abstractmethod
    def combine(self, arithmetic: Any, first: Array, second: Array) -> Array:
        """The function in steps of the output, of int64 elements less their zero points."""

    @abstractmethod
    def verify_factors(self, call: Call, arithmetic: Any) -> None:
        """Raise BadInputError where a factor is outside what the kernels compute."""

    @abstractmethod
    def choose_arithmetic(
        self, call: Call, operands: Sequence[Quantization], result: Quantization
    ) -> Any:
        """The quantization rule: the integer parameters between these scales and zero points."""

    @abstractmethod
    def trials(self) -> tuple[Any, Mapping[str, Any]]:
        """Integer parameters for the cases: noisy ones for every kind of operands, and those that
        are tried by name on every pair of int8 values (ties, saturation).
        """

    def int16_trial(self, arithmetic: Any) -> Any:
        """What int16 changes in a trial, beside zero points and clamps."""
        return arithmetic

    def bounds(self, call: Call) -> tuple[int, int]:
        """The clamp of the output."""
        return activation_range(call)

    def output_shape(self, attributes: Any, inputs: Sequence[Shape]) -> Shape:
        shape = broadcast_shape(inputs)
        assert shape is not None
        return shape

    def verify(self, call: Call) -> None:
        verify_operands(call, count=2)
        arithmetic = call.node.arithmetic
        if arithmetic is None:
            return
        self.verify_factors(call, arithmetic)
        zero_points = (*arithmetic.zero_points, arithmetic.output_zero_point)
        verify_output_range(call, zero_points, *self.bounds(call))

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        arithmetic = call.node.arithmetic
        first, second = (
            x.astype(np.int64) - zero_point
            for x, zero_point in zip(inputs, arithmetic.zero_points, strict=True)
        )
        values: Array = self.combine(arithmetic, first, second) + arithmetic.output_zero_point
        return np.clip(values, *self.bounds(call)).astype(call.output.dtype)

    def quantize(self, call: Call) -> Quantized:
        constants, operands = quantized_operands(call)
        result = call.output.quantization
        assert result is not None
        return Quantized(self.choose_arithmetic(call, operands, result), constants)

    def window(self, call: Call) -> Window | None:
        return row_window(call)

    def runtime_operands(self, call: Call) -> tuple[Tensor, ...]:
        return call.inputs

    def flattens(self, call: Call) -> bool:
        return can_flatten(call)

    def cases(self) -> Iterator[Case]:
        yield from self.int8_cases()
        yield from int16_cases(self.int8_cases(), adjust=self.int16_trial)

    def int8_cases(self) -> Iterator[Case]:
        """The edge cases of int8."""
        noisy, by_name = self.trials()
        yield from binary_cases(self.name, self.attributes(), noisy)
        for name, arithmetic in by_name.items():
            yield every_pair(self.name, self.attributes(), arithmetic, name)


class ClampedBinaryOperator(BinaryOperator):
    """A function with a clamp fused behind it.

    Its attributes have ``activation_min`` and ``activation_max``, its arithmetic ``minimum`` and
    ``maximum``.
    """

    function: np.ufunc
    """What is computed of two real numbers."""

    def bounds(self, call: Call) -> tuple[int, int]:
        return call.node.arithmetic.minimum, call.node.arithmetic.maximum

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        values = self.function(inputs[0], inputs[1], dtype=np.float32)
        return clip_float(values, *fused_clamp(call))

    def quantized_clamp(self, call: Call, result: Quantization) -> tuple[int, int]:
        """The fused clamp in steps of the output."""
        return clamp_to_integers(*fused_clamp(call), result)


class OperandFactors(Protocol):
    """Integer parameters with a factor for each operand."""

    @property
    def multipliers(self) -> tuple[int, int]: ...
    @property
    def shifts(self) -> tuple[int, int]: ...


def scale_operands(arithmetic: OperandFactors, first: Array, second: Array) -> tuple[Array, Array]:
    """Each operand times its own factor."""
    (m0, m1), (s0, s1) = arithmetic.multipliers, arithmetic.shifts
    return (
        multiply_by_quantized_multiplier(first, m0, s0),
        multiply_by_quantized_multiplier(second, m1, s1),
    )


def verify_operand_factors(call: Call, arithmetic: OperandFactors, *, max_shift: int = 30) -> None:
    """Raise BadInputError where the factor of an operand is outside what the kernels compute."""
    for multiplier, shift in zip(arithmetic.multipliers, arithmetic.shifts, strict=True):
        verify_scale(call, multiplier, shift, max_shift=max_shift)
