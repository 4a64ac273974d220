/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_l2_normalization_s8.h"
#include "ek_requantize.h"

/* 1 / sqrt(x) = multiplier * 2^(shift - 31). */
typedef struct {
  int32_t multiplier;
  int32_t shift;
} factor;

static int32_t saturate(int64_t x) {
  return x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : (int32_t)x;
}

/* 1 / sqrt(value), Q3.28 to Q3.28, value in [1/4, 1). */
static int32_t newton(int32_t value) {
  const int32_t three_halves = (1 << 28) + (1 << 27);
  const int32_t half_value = ek_rounding_shift_right(value, 1);
  int32_t root = 1 << 28;
  for (int32_t i = 0; i < 5; i++) {
    const int32_t square = ek_doubling_high_multiply(root, root);
    const int32_t cube = saturate((int64_t)ek_doubling_high_multiply(square, root) * 64);
    const int32_t next =
        ek_doubling_high_multiply(root, three_halves) - ek_doubling_high_multiply(half_value, cube);
    root = saturate((int64_t)next * 8);
  }
  return root;
}

static factor inverse_square_root(int32_t x) {
  const int32_t half_sqrt_2 = 1518500250;
  const factor largest = {INT32_MAX, 0};
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
  factor result = {ek_doubling_high_multiply(newton(value >> 1), half_sqrt_2), -right_shift};
  if (right_shift < 0) {
    result.multiplier *= 1 << -right_shift;
    result.shift = 0;
  }
  return result;
}

void ek_l2_normalization_s8__ref(const void *layer_, const void *const *inputs, void *output,
                                 void *scratch) {
  const ek_l2_normalization_s8 *layer = (const ek_l2_normalization_s8 *)layer_;
  const int8_t *in = (const int8_t *)inputs[0];
  int8_t *out = (int8_t *)output;
  (void)scratch;
  for (int32_t row = 0; row < layer->rows; row++) {
    int32_t sum = 0;
    for (int32_t c = 0; c < layer->depth; c++) {
      const int32_t a = in[c] - layer->input_zero_point;
      sum += a * a;
    }
    const factor scale = inverse_square_root(sum);
    for (int32_t c = 0; c < layer->depth; c++) {
      const int32_t a = in[c] - layer->input_zero_point;
      const int32_t scaled = ek_scale(a, scale.multiplier, scale.shift + 7);
      out[c] = (int8_t)ek_clamp(scaled, -128, 127);
    }
    in += layer->depth;
    out += layer->depth;
  }
}
