# SPDX-License-Identifier: Apache-2.0
"""What TFLite computes unlike int8 where activations are int16."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from edgekit.arith import INT32_MAX
from edgekit.converters.tflite import multipliers
from edgekit.converters.tflite.operation import Mapped, Operation
from edgekit.ir import Quantization
from edgekit.ops.fixed_point_sigmoid import (
    MAX_MULTIPLIER,
    MAX_SHIFT,
    OUTPUT_SCALE,
    FixedPointSigmoid,
    FixedPointSigmoidArithmetic,
    Function,
    steps_factor,
)
from edgekit.ops.leaky_relu import LeakyRelu, LeakyReluArithmetic

POWER_TOLERANCE = 1e-3
"""How far the binary logarithm of a scale may be from an integer."""


def power_of_two(scale: float) -> int | None:
    """The exponent of a scale that is nearly a power of two, or None; float32 as in TFLite."""
    logarithm = np.log(np.float32(scale)) * (np.float32(1.0) / np.log(np.float32(2.0)))
    rounded = np.round(logarithm)
    near = abs(logarithm - rounded) < np.float32(POWER_TOLERANCE)
    return int(rounded) if near else None


def power_of_two_shifts(
    operation: Operation, a: Quantization, b: Quantization, result: Quantization
) -> tuple[int, int] | None:
    """The shifts of both operands of an ADD or SUB without multipliers, or None: the general rule.

    One operand has the scale of the result; the other is finer, and is shifted to it with halves
    away from zero. TensorFlow Lite refuses other powers of two; TensorFlow Lite Micro, which knows
    the general rule only, computes them by it, and so do we.
    """
    if not operation.is_int16 or not operation.option("PotScaleInt16"):
        return None
    exponents = [power_of_two(q.scale) for q in (a, b, result)]
    if None in exponents:
        return None
    first, second, output = (int(e or 0) for e in exponents)
    shifts = (first - output, second - output)
    return shifts if max(shifts) == 0 and min(shifts) >= -31 else None


WITHOUT_SCALING = INT32_MAX, 0
"""(multiplier, shift) that leaves numbers of up to 30 bits as they are."""


def _curve(function: Function) -> Callable[[Operation], Mapped]:
    """LOGISTIC and TANH."""

    def mapping(operation: Operation) -> Mapped:
        operation.require(inputs=(1,))
        operation.require_one_type()
        x, result = operation.activation(0), operation.output_quantization()
        if result.scale != OUTPUT_SCALE:
            raise operation.unsupported(f"output scale {result.scale:.9g}; use 2^-15")
        scale = operation.quantization(x.tensor).scale
        multiplier, shift = _steps(scale)
        if multiplier > MAX_MULTIPLIER or shift > MAX_SHIFT:
            raise operation.unsupported(f"input scale {scale:.9g} is too large or too small")
        arithmetic = FixedPointSigmoidArithmetic(multiplier, shift)
        return Mapped("fixed_point_sigmoid", FixedPointSigmoid(function), arithmetic, (x,))

    return mapping


def _steps(scale: float) -> tuple[int, int]:
    """Scales of nearly 2^-12 and 2^-11 count as exactly that."""
    exponent = power_of_two(scale)
    return (3 << (exponent + 12), 0) if exponent in (-12, -11) else steps_factor(scale)


def _leaky_relu(operation: Operation) -> Mapped:
    operation.require(inputs=(1,))
    operation.require_one_type()
    x, result = operation.activation(0), operation.output_quantization()
    source, slope = operation.quantization(x.tensor), float(operation.option("Alpha"))
    if not math.isfinite(slope):
        raise operation.fail(f"alpha {slope} is not finite")
    identity = operation.multiplier(multipliers.relu_factor(source.scale, result.scale))
    factor = multipliers.mul_factor(source.scale, abs(slope), result.scale)
    multiplier, shift = operation.multiplier(factor)
    below = (-multiplier if slope < 0 else multiplier), shift
    arithmetic = LeakyReluArithmetic(*identity, *below)
    return Mapped("leaky_relu", LeakyRelu(slope), arithmetic, (x,))


def _abs(operation: Operation) -> Mapped:
    """A leaky ReLU with slope -1: both sides are scaled by the same factor."""
    operation.require(inputs=(1,))
    operation.require_one_type()
    x, result = operation.activation(0), operation.output_quantization()
    scale = operation.quantization(x.tensor).scale
    multiplier, shift = operation.multiplier(multipliers.relu_factor(scale, result.scale))
    arithmetic = LeakyReluArithmetic(multiplier, shift, -multiplier, shift)
    return Mapped("leaky_relu", LeakyRelu(-1.0), arithmetic, (x,))


INT16_MAPPINGS: Mapping[str, Callable[[Operation], Mapped]] = {
    "ABS": _abs,
    "LEAKY_RELU": _leaky_relu,
    "LOGISTIC": _curve("sigmoid"),
    "TANH": _curve("tanh"),
}
"""Operators with an int16 definition of their own; the others share the int8 mapping."""
