/* SPDX-License-Identifier: Apache-2.0 */
/* 1 / sqrt(x) in gemmlowp's fixed point (edgekit/ops/_inverse_root.py is the definition). */
#ifndef EK_INVERSE_ROOT_H
#define EK_INVERSE_ROOT_H

#include "ek_requantize.h"

/* multiplier * 2^(shift - 31); shift <= 0. */
typedef struct {
  int32_t multiplier;
  int32_t shift;
} ek_factor;

static inline int32_t ek_saturate(int64_t x) {
  return x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : (int32_t)x;
}

/* 1 / sqrt(value), Q3.28 to Q3.28, value in [1/4, 1). */
static inline int32_t ek_newton(int32_t value) {
  const int32_t three_halves = (1 << 28) + (1 << 27);
  const int32_t half_value = ek_rounding_shift_right(value, 1);
  int32_t root = 1 << 28;
  for (int32_t i = 0; i < 5; i++) {
    const int32_t square = ek_doubling_high_multiply(root, root);
    const int32_t cube = ek_saturate((int64_t)ek_doubling_high_multiply(square, root) * 64);
    const int32_t next =
        ek_doubling_high_multiply(root, three_halves) - ek_doubling_high_multiply(half_value, cube);
    root = ek_saturate((int64_t)next * 8);
  }
  return root;
}

/* Of x >= 0; 0 counts as 1. */
static inline ek_factor ek_inverse_square_root(int32_t x) {
  const int32_t half_sqrt_2 = 1518500250;
  const ek_factor largest = {INT32_MAX, 0};
  int32_t right_shift = 11;
  int32_t value = x;
  if (x <= 1) {
    return largest;
  }
  if (value >= 1 << 29) {
    value >>= 2;
    right_shift++;
  }
  while (value < 1 << 27) {
    value *= 4;
    right_shift--;
  }
  ek_factor result = {ek_doubling_high_multiply(ek_newton(value >> 1), half_sqrt_2), -right_shift};
  if (right_shift < 0) {
    result.multiplier *= 1 << -right_shift;
    result.shift = 0;
  }
  return result;
}

/* The same of 0 <= x < 2^62. */
static inline ek_factor ek_inverse_square_root_64(int64_t x) {
  int32_t halvings = 0;
  while (x > INT32_MAX) {
    x >>= 2;
    halvings++;
  }
  ek_factor result = ek_inverse_square_root((int32_t)x);
  result.shift -= halvings;
  return result;
}

#endif
