# SPDX-License-Identifier: Apache-2.0
"""The factors of TFLite's operators, in the precision in which its reference kernels compute each.

The scales of a file are float32. Which of the products and quotients below are rounded to float32
differs between operators, and it decides about rounding ties, so each rule has its own function.
Every function returns the real factor; ``edgekit.arith.quantize_multiplier`` makes integers of it.
"""

from __future__ import annotations

import math

import numpy as np

from edgekit.arith import quantize_multiplier, round_half_away

ADD_LEFT_SHIFT = 20
"""Headroom of the int8 sum: (q - zero_point) << 20 stays inside 29 bits."""
ADD_LEFT_SHIFT_INT16 = 15
"""The same for int16, whose zero points are 0."""
SQUARED_DIFFERENCE_LEFT_SHIFT = 7
"""Headroom of the int8 difference, so that its square fits int32."""
SOFTMAX_INTEGER_BITS = 5


def convolution_factor(input_scale: float, weight_scale: float, output_scale: float) -> float:
    """CONV_2D, DEPTHWISE_CONV_2D, and FULLY_CONNECTED with a scale per channel: double."""
    return input_scale * weight_scale / output_scale


def fully_connected_factor(input_scale: float, weight_scale: float, output_scale: float) -> float:
    """FULLY_CONNECTED with one weight scale: float32 product, double division."""
    with np.errstate(over="ignore", under="ignore"):
        return float(np.float32(input_scale) * np.float32(weight_scale)) / output_scale


def mul_factor(scale_a: float, scale_b: float, output_scale: float) -> float:
    """MUL, and the slopes of LEAKY_RELU and PRELU: float32 throughout."""
    with np.errstate(over="ignore", under="ignore"):
        return float(np.float32(scale_a) * np.float32(scale_b) / np.float32(output_scale))


def relu_factor(input_scale: float, output_scale: float) -> float:
    """RELU and its kin, LEAKY_RELU and PRELU where x >= 0, ABS: float32."""
    with np.errstate(over="ignore", under="ignore"):
        return float(np.float32(input_scale) / np.float32(output_scale))


def rsqrt_factor(input_scale: float, output_scale: float) -> float:
    """RSQRT: float32 product, double division."""
    with np.errstate(all="ignore"):
        product = np.sqrt(np.float32(input_scale)) * np.float32(output_scale)
        return float(1.0 / np.float64(product))


def rescale_factor(input_scale: float, output_scale: float) -> float:
    """QUANTIZE and MEAN: double."""
    return input_scale / output_scale


def add_factors(scale_a: float, scale_b: float, output_scale: float) -> tuple[float, float, float]:
    """ADD and SUB: double. The factors of both inputs, shifted left before, and of their sum."""
    twice_max_scale = 2.0 * max(scale_a, scale_b)
    output_factor = twice_max_scale / ((1 << ADD_LEFT_SHIFT) * output_scale)
    return scale_a / twice_max_scale, scale_b / twice_max_scale, output_factor


def squared_difference_factors(
    scale_a: float, scale_b: float, output_scale: float
) -> tuple[float, float, float]:
    """SQUARED_DIFFERENCE: double. The factors of both inputs, shifted left before, and of the square."""
    twice_max_scale = 2.0 * max(scale_a, scale_b)
    output_factor = twice_max_scale**2 / (4.0**SQUARED_DIFFERENCE_LEFT_SHIFT * output_scale)
    return scale_a / twice_max_scale, scale_b / twice_max_scale, output_factor


def softmax_parameters(beta: float, input_scale: float) -> tuple[int, int, int]:
    """SOFTMAX: (multiplier, left shift, the smallest difference from the maximum that counts).

    The factor takes an integer difference to beta * difference with 5 integer bits (double).
    """
    fraction_bits = 31 - SOFTMAX_INTEGER_BITS
    factor = min(beta * input_scale * (1 << fraction_bits), 2.0**31 - 1.0)
    multiplier, shift = quantize_multiplier(factor)
    radius = ((1 << SOFTMAX_INTEGER_BITS) - 1) * 2.0**fraction_bits / 2.0**shift
    return multiplier, shift, -math.floor(radius)


def quantized_bound(bound: float, scale: float, zero_point: int) -> int:
    """The integer of a fused activation's bound: float32 division, halves away from zero."""
    with np.errstate(over="ignore"):
        steps = np.float32(bound) / np.float32(scale)
    return zero_point + int(round_half_away(min(max(float(steps), -(2.0**31)), 2.0**31)))
