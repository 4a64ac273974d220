/* SPDX-License-Identifier: Apache-2.0 */
/* exp(x) for x <= 0 and 1 / (1 + x) in gemmlowp's fixed point
 * (edgekit/ops/_softmax_fixed_point.py). A QI.F value has I integer and F fractional bits. */
#ifndef EK_EXPONENTIAL_H
#define EK_EXPONENTIAL_H

#include "ek_requantize.h"

/* Q0.31 to Q0.31, -1/4 <= a < 0. */
static inline int32_t ek_exp_between_minus_quarter_and_0(int32_t a) {
  const int32_t exp_of_minus_eighth = 1895147668;
  const int32_t one_third = 715827883;
  const int32_t x = a + (1 << 28);
  const int32_t x2 = ek_doubling_high_multiply(x, x);
  const int32_t x3 = ek_doubling_high_multiply(x2, x);
  const int32_t x4_over_4 = ek_rounding_shift_right(ek_doubling_high_multiply(x2, x2), 2);
  const int32_t higher_terms =
      ek_rounding_shift_right(ek_doubling_high_multiply(x4_over_4 + x3, one_third) + x2, 1);
  return exp_of_minus_eighth + ek_doubling_high_multiply(x + higher_terms, exp_of_minus_eighth);
}

/* Q5.26 to Q0.31, x <= 0. */
static inline int32_t ek_exp_of_negative(int32_t x) {
  static const int32_t exp_of_minus_powers[7] = {1672461947, 1302514674, 790015084, 290630308,
                                                 39332535,   720401,     242};
  const int32_t quarter = 1 << 24;
  const int32_t fraction = (x & (quarter - 1)) - quarter;
  const int32_t remainder = fraction - x;
  int32_t result = ek_exp_between_minus_quarter_and_0(fraction * 32);
  for (int32_t i = 0; i < 7; i++) {
    if (remainder & (quarter << i)) {
      result = ek_doubling_high_multiply(result, exp_of_minus_powers[i]);
    }
  }
  return x == 0 ? INT32_MAX : result;
}

/* 1 / (1 + x), Q0.31, x >= 0. */
static inline int32_t ek_one_over_one_plus(int32_t x) {
  const int32_t half_denominator = (int32_t)(((uint32_t)x + 0x80000000u) >> 1);
  /* 48/17 - 32/17 d, Q2.29 */
  int32_t guess = 1515870810 + ek_doubling_high_multiply(-1010580540, half_denominator);
  for (int32_t i = 0; i < 3; i++) {
    const int32_t error = (1 << 29) - ek_doubling_high_multiply(half_denominator, guess);
    guess += ek_doubling_high_multiply(error, guess) * 4;
  }
  return guess > INT32_MAX / 2 ? INT32_MAX : guess * 2;
}

#endif
