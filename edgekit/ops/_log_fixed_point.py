# SPDX-License-Identifier: Apache-2.0
"""log(x) for x >= 1 in TensorFlow Lite's fixed point: powers of two, and a rational function.

x = 2^n r 2^(1/4), with n a quarter beside a multiple of a half, and r in [2^(-1/2), 1]: log x is
n log 2 and a function of r around 2^(-1/4), which is 0 there. Values are int64 arrays that hold int32
ones; a QI.F value has I integer and F fractional bits.
"""

from __future__ import annotations

import numpy as np

from edgekit.arith import INT32_MAX, rounding_divide_by_power_of_two
from edgekit.arith import saturating_rounding_doubling_high_multiply as multiply
from edgekit.ir import Array
from edgekit.ops._softmax_fixed_point import one_over_one_plus

LOG_2 = 1488522236  # Q0.31, as all below
SQRT_HALF = 1518500250
FOURTH_ROOT_OF_HALF = 1805811301
NUMERATOR = 117049297  # 11/240 2^(1/4)
DENOMINATOR = 127690142  # 1/20 2^(1/4)
OFFSET = 1057819769  # 2 / 2^(1/4) - 2^(1/4)
SLOPE = 638450708  # 1/4 2^(1/4)
INPUT_BITS = 12
QUARTER = 1 << 23  # Q6.25


def log_of_at_least_1(x: Array) -> Array:
    """log of Q12.19 values >= 1, as Q5.26."""
    ratio, power = _normalized(x)
    middle = (ratio + FOURTH_ROOT_OF_HALF + 1) >> 1
    q = 2 * (ratio - FOURTH_ROOT_OF_HALF)
    square = multiply(q, q)
    numerator = multiply(q, ratio) + multiply(multiply(q, square), NUMERATOR)
    inner = OFFSET + q + multiply(square, DENOMINATOR)
    denominator = multiply(middle, inner) + multiply(q, SLOPE)
    fraction = multiply(
        rounding_divide_by_power_of_two(numerator, 6), one_over_one_plus(denominator)
    )
    return np.minimum(2 * (multiply(power, LOG_2) + fraction), INT32_MAX)


def _normalized(x: Array) -> tuple[Array, Array]:
    """r (Q0.31) and n (Q6.25): of the two that are tried, the smaller r and the larger n."""
    zeros = 32 - _bit_length(x)
    plain = np.minimum(2 * multiply(x << (zeros - 1), SQRT_HALF), INT32_MAX)
    plain_power = ((INPUT_BITS - zeros) << 25) + QUARTER
    halved_zeros = 31 - _bit_length(multiply(x, SQRT_HALF))
    halved = np.minimum(x << halved_zeros, INT32_MAX)
    halved_power = ((INPUT_BITS - halved_zeros) << 25) - QUARTER
    return np.minimum(plain, halved), np.maximum(plain_power, halved_power)


def _bit_length(x: Array) -> Array:
    return np.frexp(x.astype(np.float64))[1].astype(np.int64)
