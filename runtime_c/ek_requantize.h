/* SPDX-License-Identifier: Apache-2.0 */
/* Fixed-point scaling with gemmlowp's two roundings (edgekit/arith.py is the definition). */
#ifndef EK_REQUANTIZE_H
#define EK_REQUANTIZE_H

#include <stdint.h>

/* x * multiplier / 2^31, ties up; not both INT32_MIN. */
static inline int32_t ek_doubling_high_multiply(int32_t x, int32_t multiplier) {
  return (int32_t)(((int64_t)x * multiplier + ((int64_t)1 << 30)) >> 31);
}

/* x / 2^exponent, ties away from zero. 0 <= exponent <= 31. */
static inline int32_t ek_rounding_shift_right(int32_t x, int32_t exponent) {
  const int32_t mask = (int32_t)(((uint32_t)1 << exponent) - 1u);
  const int32_t threshold = (mask >> 1) + (x < 0);
  return (x >> exponent) + ((x & mask) > threshold);
}

/* x * multiplier * 2^(shift - 31); -31 <= shift <= 30, shift > 0 is to the left and wraps. */
static inline int32_t ek_scale(int32_t x, int32_t multiplier, int32_t shift) {
  const int32_t left = shift > 0 ? shift : 0;
  const int32_t right = shift > 0 ? 0 : -shift;
  const int32_t shifted = (int32_t)((uint32_t)x << left);
  return ek_rounding_shift_right(ek_doubling_high_multiply(shifted, multiplier), right);
}

static inline int32_t ek_clamp(int32_t x, int32_t minimum, int32_t maximum) {
  return x < minimum ? minimum : x > maximum ? maximum : x;
}

#endif
