# SPDX-License-Identifier: Apache-2.0
"""Fixed-point arithmetic of quantized networks: multipliers, rounding, requantization.

The definitions are gemmlowp's (Jacob et al., "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", 2018) as TensorFlow Lite uses them: a real factor is
``multiplier * 2**(shift - 31)`` with a multiplier in [2^30, 2^31); the doubling high multiply rounds
ties up, the right shift rounds ties away from zero.
"""

from __future__ import annotations

import math

import numpy as np

from edgekit.ir import Array

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


def quantize_multiplier(factor: float) -> tuple[int, int]:
    """(multiplier, shift) of a real factor >= 0; shift > 0 is to the left.

    Factors below 2^-32 become (0, 0), as in TensorFlow Lite's ``QuantizeMultiplier``.
    """
    if factor == 0.0:
        return 0, 0
    fraction, shift = math.frexp(factor)
    multiplier = math.floor(fraction * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        return 2**31 - 1, 30
    return multiplier, shift


def rounded_up(value: float, *, bits: int) -> float:
    """The least number of ``bits`` significant bits that is not below ``value`` > 0."""
    fraction, exponent = math.frexp(value)
    return math.ldexp(math.ceil(fraction * 2**bits), exponent - bits)


def wrap_int32(x: Array) -> Array:
    """Two's complement wrap to 32 bits, kept in int64."""
    wrapped: Array = ((x.astype(np.int64) + 2**31) & 0xFFFFFFFF) - 2**31
    return wrapped


def saturating_rounding_doubling_high_multiply(a: Array, b: Array | int) -> Array:
    """(a * b * 2) / 2^32 for int32 values, ties up; only INT32_MIN^2 saturates."""
    product = a.astype(np.int64) * np.asarray(b, np.int64)
    return np.minimum((product + 2**30) >> 31, INT32_MAX)


def rounding_divide_by_power_of_two(x: Array, exponent: Array | int) -> Array:
    """x / 2^exponent, ties away from zero; 0 <= exponent <= 31."""
    exponent = np.asarray(exponent, np.int64)
    mask = (np.int64(1) << exponent) - 1
    remainder = x & mask
    threshold = (mask >> 1) + (x < 0)
    quotient: Array = (x >> exponent) + (remainder > threshold)
    return quotient


def multiply_by_quantized_multiplier(
    x: Array, multiplier: Array | int, shift: Array | int
) -> Array:
    """x * multiplier * 2^(shift - 31), rounded twice as gemmlowp does; int32 in int64 arrays."""
    shift = np.asarray(shift, np.int64)
    shifted = wrap_int32(x.astype(np.int64) << np.maximum(shift, 0))
    high = saturating_rounding_doubling_high_multiply(shifted, multiplier)
    return rounding_divide_by_power_of_two(high, np.maximum(-shift, 0))


def multiply_by_quantized_multiplier_64(
    x: Array, multiplier: Array | int, shift: Array | int
) -> Array:
    """x * multiplier * 2^(shift - 31) for sums of more than 32 bits; int32 in int64 arrays.

    The multiplier is first rounded to 15 bits, ties up and at most 2^15 - 1, so that the product
    fits 64 bits where |x| < 2^47; the product is rounded once, ties up. -31 <= shift <= 7.
    """
    wide = np.asarray(multiplier, np.int64)
    narrow = np.minimum((wide + 2**15) >> 16, 2**15 - 1)
    total_shift = 15 - np.asarray(shift, np.int64)
    product = x.astype(np.int64) * narrow + (np.int64(1) << (total_shift - 1))
    return wrap_int32(product >> total_shift)


def requantize(
    accumulator: Array,
    multiplier: Array | int,
    shift: Array | int,
    *,
    zero_point: int,
    minimum: int,
    maximum: int,
) -> Array:
    """int32 accumulators to clamped output integers (int64 array; the caller narrows it)."""
    scaled = multiply_by_quantized_multiplier(accumulator, multiplier, shift)
    return np.clip(scaled + zero_point, minimum, maximum)


def round_half_away(x: Array | float) -> Array:
    """Round to the nearest integer, halves away from zero, as C's ``round``."""
    values = np.asarray(x, np.float64)
    whole = np.trunc(values)
    rounded: Array = whole + np.where(np.abs(values - whole) >= 0.5, np.sign(values), 0.0)
    return rounded
