# SPDX-License-Identifier: Apache-2.0
"""1 / sqrt(x) of integers by Newton's method in gemmlowp's fixed point, as TensorFlow Lite has it."""

from __future__ import annotations

import numpy as np

from edgekit.arith import INT32_MAX, INT32_MIN, rounding_divide_by_power_of_two
from edgekit.arith import saturating_rounding_doubling_high_multiply as multiply
from edgekit.ir import Array

THREE_HALVES = (1 << 28) + (1 << 27)  # Q3.28
HALF_SQRT_2 = 1518500250  # Q0.31
STEPS = 5


def inverse_square_root(x: Array) -> tuple[Array, Array]:
    """(multiplier, shift) with 1 / sqrt(x) = multiplier * 2^(shift - 31), for 0 <= x < 2^31.

    0 counts as 1, which gives the largest multiplier.
    """
    large = x >= 1 << 29
    value = np.where(large, x >> 2, np.maximum(x, 2))
    bit_length = np.frexp(value.astype(np.float64))[1].astype(np.int64)
    pairs = (31 - bit_length) // 2 - 1
    right_shift = 11 + large - pairs
    root = _newton((value << (2 * pairs)) >> 1)
    multiplier = multiply(root, HALF_SQRT_2) << np.maximum(-right_shift, 0)
    shift = -np.maximum(right_shift, 0)
    return np.where(x <= 1, INT32_MAX, multiplier), np.where(x <= 1, 0, shift)


def inverse_square_root_64(x: Array) -> tuple[Array, Array]:
    """The same for 0 <= x < 2^62: bits that do not fit are dropped in pairs."""
    value, halvings = x, np.zeros_like(x)
    while (too_large := value > INT32_MAX).any():
        value = np.where(too_large, value >> 2, value)
        halvings = halvings + too_large
    multiplier, shift = inverse_square_root(value)
    return multiplier, shift - halvings


def _newton(value: Array) -> Array:
    """1 / sqrt of Q3.28 values in [1/4, 1), as Q3.28."""
    half_value = rounding_divide_by_power_of_two(value, 1)
    root: Array = np.full_like(value, 1 << 28)
    for _ in range(STEPS):
        cube = _saturated(multiply(multiply(root, root), root) << 6)
        root = _saturated((multiply(root, THREE_HALVES) - multiply(half_value, cube)) << 3)
    return root


def _saturated(x: Array) -> Array:
    return np.clip(x, INT32_MIN, INT32_MAX)
