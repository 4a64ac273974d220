# SPDX-License-Identifier: Apache-2.0
"""exp(x) for x <= 0 and 1 / (1 + x), in gemmlowp's fixed point (its fixedpoint.h has the maths).

A QI.F value is an int32 with I integer and F fractional bits; the functions work on int64 arrays
that hold int32 values.
"""

from __future__ import annotations

import numpy as np

from edgekit.arith import INT32_MAX, INT32_MIN, rounding_divide_by_power_of_two
from edgekit.arith import saturating_rounding_doubling_high_multiply as multiply
from edgekit.ir import Array

EXP_OF_MINUS_EIGHTH = 1895147668  # Q0.31
ONE_THIRD = 715827883  # Q0.31
EXP_OF_MINUS_POWERS = (  # Q0.31: exp(-2^k) for k = -2 to 4
    1672461947,
    1302514674,
    790015084,
    290630308,
    39332535,
    720401,
    242,
)
FORTY_EIGHT_SEVENTEENTHS = 1515870810  # Q2.29
MINUS_THIRTY_TWO_SEVENTEENTHS = -1010580540  # Q2.29


def exp_on_negative_values(x: Array) -> Array:
    """exp of Q5.26 values <= 0, as Q0.31; 1 is the largest int32."""
    quarter = 1 << 24
    fraction = (x & (quarter - 1)) - quarter
    result = _exp_between_minus_quarter_and_0(fraction << 5)
    remainder = fraction - x
    for bit, factor in enumerate(EXP_OF_MINUS_POWERS, start=24):
        result = np.where(remainder & (1 << bit), multiply(result, factor), result)
    return np.where(x == 0, INT32_MAX, result)


def _exp_between_minus_quarter_and_0(a: Array) -> Array:
    """exp of Q0.31 values in [-1/4, 0): a Taylor expansion around -1/8."""
    x = a + (1 << 28)
    x2 = multiply(x, x)
    x3 = multiply(x2, x)
    x4_over_4 = rounding_divide_by_power_of_two(multiply(x2, x2), 2)
    higher_terms = rounding_divide_by_power_of_two(multiply(x4_over_4 + x3, ONE_THIRD) + x2, 1)
    return EXP_OF_MINUS_EIGHTH + multiply(x + higher_terms, EXP_OF_MINUS_EIGHTH)


def one_over_one_plus(x: Array) -> Array:
    """1 / (1 + x) of Q0.31 values in [0, 1), as Q0.31: three steps of Newton's method."""
    half_denominator = (x + INT32_MAX + 1) >> 1
    guess = FORTY_EIGHT_SEVENTEENTHS + multiply(half_denominator, MINUS_THIRTY_TWO_SEVENTEENTHS)
    for _ in range(3):
        error = (1 << 29) - multiply(half_denominator, guess)
        guess = guess + (multiply(guess, error) << 2)
    return np.clip(guess << 1, INT32_MIN, INT32_MAX)
