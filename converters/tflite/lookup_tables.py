# SPDX-License-Identifier: Apache-2.0
"""The table of results of TFLite's int8 functions of one variable, over all 256 inputs.

What TFLite computes by a table is float32 with the functions of the C library; HARD_SWISH, LEAKY_RELU,
ABS and RSQRT are fixed point. A result too large for int32 saturates (in TFLite it is undefined).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from edgekit.arith import (
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_power_of_two,
)
from edgekit.converters.tflite import c_math, multipliers
from edgekit.ir import INTEGER_RANGE, Array, Quantization
from edgekit.ops._inverse_root import inverse_square_root
from edgekit.ops.lookup import tabulate

Table = tuple[int, ...]
LOW, HIGH = INTEGER_RANGE["int8"]
INT16_MIN, INT16_MAX = INTEGER_RANGE["int16"]
EVERY_VALUE = np.arange(LOW, HIGH + 1, dtype=np.int64)
EVERY_VALUE.setflags(write=False)
ONE = np.float32(1.0)
HALF = np.float32(0.5)


def float_table(
    function: Callable[[Array], Array], source: Quantization, result: Quantization
) -> Table:
    """TFLite's ``LUTPopulate``: float32 throughout, multiplied by the inverse of the output scale."""
    with np.errstate(all="ignore"):
        x = np.float32(source.scale) * (EVERY_VALUE - source.zero_point).astype(np.float32)
        steps = function(x).astype(np.float32) * (ONE / np.float32(result.scale))
    return tabulate(steps.astype(np.float64), Quantization(1.0, result.zero_point))


def logistic(x: Array) -> Array:
    with np.errstate(over="ignore"):
        values: Array = ONE / (ONE + c_math.expf(-x))
    return values


def elu(x: Array) -> Array:
    return np.where(x < 0, c_math.expm1f(x), x)


def gelu(x: Array) -> Array:
    values: Array = HALF * x * c_math.erfcf(x * np.float32(-math.sqrt(0.5)))
    return values


def gelu_tanh(x: Array) -> Array:
    cubic = x + np.float32(0.044715) * x * x * x
    factor = np.float32(2.0 / math.sqrt(math.pi) * math.sqrt(0.5))
    values: Array = HALF * x * (ONE + c_math.tanhf(factor * cubic))
    return values


def leaky_relu_table(alpha: float, source: Quantization, result: Quantization) -> Table:
    """Both factors are float32 throughout; a negative alpha negates the multiplier."""
    x = EVERY_VALUE - source.zero_point
    identity = multipliers.relu_factor(source.scale, result.scale)
    slope = multipliers.mul_factor(source.scale, abs(alpha), result.scale)
    positive, negative = (_scaled(x, factor) for factor in (identity, slope))
    if alpha < 0:
        multiplier, shift = quantize_multiplier(slope)
        negative = multiply_by_quantized_multiplier(x, -multiplier, shift)
    return _table(np.where(x >= 0, positive, negative), result)


def abs_table(source: Quantization, result: Quantization) -> Table:
    """The factor is float32."""
    x = np.abs(EVERY_VALUE - source.zero_point)
    factor = multipliers.relu_factor(source.scale, result.scale)
    return _table(_scaled(x, factor), result)


def hard_swish_table(source: Quantization, result: Quantization) -> Table | None:
    """16-bit fixed point, with a truncated product; None where TFLite refuses the scales."""
    high_resolution = multipliers.mul_factor(source.scale, 1.0 / 128.0, 1.0)
    multiplier, exponent = _int16_multiplier(multipliers.relu_factor(high_resolution, result.scale))
    slope, slope_exponent = _int16_multiplier(
        multipliers.relu_factor(high_resolution, 3.0 / 32768.0)
    )
    if exponent > 0:
        return None
    x = (EVERY_VALUE - source.zero_point) << 7
    gate = x
    if slope_exponent > 0:
        gate = _saturate(gate << (slope_exponent - 1))
    gate = _doubling_high_multiply_int16(gate, slope)
    if slope_exponent > 0:
        gate = _saturate(gate << 1)
    gate = rounding_divide_by_power_of_two(gate, max(-slope_exponent, 0))
    gate = (gate + (1 << 15)) >> 1  # from [-1, 1] to [0, 1]
    product = gate * _doubling_high_multiply_int16(x, multiplier)
    truncated = np.sign(product) * (np.abs(product) >> 15)
    return _table(rounding_divide_by_power_of_two(truncated, min(-exponent, 31)), result)


def rsqrt_table(source: Quantization, result: Quantization) -> Table:
    """1 / sqrt by Newton's method in fixed point; 0 gives the largest value.

    TFLite refuses to run on inputs below the zero point; they give the largest value too.
    """
    factor = multipliers.rsqrt_factor(source.scale, result.scale)
    multiplier, shift = quantize_multiplier(factor)
    x = EVERY_VALUE - source.zero_point
    root, root_shift = inverse_square_root(np.maximum(x, 1))
    one = np.ones_like(x)
    inverse_root = multiply_by_quantized_multiplier(one, root, root_shift + RSQRT_BITS)
    scaled = multiply_by_quantized_multiplier(inverse_root, multiplier, shift - RSQRT_BITS)
    return _table(np.where(x <= 0, HIGH - result.zero_point, scaled), result)


RSQRT_BITS = 20


def _int16_multiplier(factor: float) -> tuple[int, int]:
    multiplier, exponent = quantize_multiplier(factor)
    return min((multiplier + (1 << 15)) >> 16, INT16_MAX), exponent


def _doubling_high_multiply_int16(a: Array, b: int) -> Array:
    """(a * b * 2) / 2^16, ties up."""
    return np.minimum((a * b + (1 << 14)) >> 15, INT16_MAX)


def _saturate(x: Array) -> Array:
    return np.clip(x, INT16_MIN, INT16_MAX)


def _scaled(x: Array, factor: float) -> Array:
    return multiply_by_quantized_multiplier(x, *quantize_multiplier(factor))


def _table(values: Array, result: Quantization) -> Table:
    return tuple(int(value) for value in np.clip(values + result.zero_point, LOW, HIGH))
