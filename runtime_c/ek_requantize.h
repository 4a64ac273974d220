/* SPDX-License-Identifier: Apache-2.0 */
/* Fixed-point scaling with gemmlowp's two roundings (edgekit/arith.py is the definition). */
#ifndef EK_REQUANTIZE_H
#define EK_REQUANTIZE_H

#include <stdint.h>

/* ek_doubling_high_multiply without a product of more than 32 bits. */
static inline int32_t ek_doubling_high_multiply_16x16(int32_t x, int32_t multiplier) {
  const int32_t x_high = x >> 16, x_low = x & 0xffff;
  const int32_t multiplier_high = multiplier >> 16, multiplier_low = multiplier & 0xffff;
  const uint32_t lowest = (uint32_t)x_low * (uint32_t)multiplier_low;
  const int32_t middle = x_high * multiplier_low + (int32_t)(lowest >> 16);
  const int32_t low = x_low * multiplier_high + (middle & 0xffff);
  const int32_t high = x_high * multiplier_high + (middle >> 16) + (low >> 16);
  return high * 2 + ((((low >> 14) & 3) + 1) >> 1);
}

/* x * multiplier / 2^31, ties up; not both INT32_MIN. Armv6-M has no long multiply. */
#if defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB == 1
static inline int32_t ek_doubling_high_multiply(int32_t x, int32_t multiplier) {
  return ek_doubling_high_multiply_16x16(x, multiplier);
}
#else
static inline int32_t ek_doubling_high_multiply(int32_t x, int32_t multiplier) {
  return (int32_t)(((int64_t)x * multiplier + ((int64_t)1 << 30)) >> 31);
}
#endif

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

/* x + zero_point within [minimum, maximum], for any x: the sum itself may not fit. */
static inline int32_t ek_offset_clamp(int32_t x, int32_t zero_point, int32_t minimum,
                                      int32_t maximum) {
  return ek_clamp(x, minimum - zero_point, maximum - zero_point) + zero_point;
}

#endif
