/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_requantize.h"
#include "ek_softmax_s8.h"

static int32_t multiply(int32_t a, int32_t b) { return ek_doubling_high_multiply(a, b); }

/* Q0.31 to Q0.31, -1/4 <= a < 0. */
static int32_t exp_between_minus_quarter_and_0(int32_t a) {
  const int32_t exp_of_minus_eighth = 1895147668;
  const int32_t one_third = 715827883;
  const int32_t x = a + (1 << 28);
  const int32_t x2 = multiply(x, x);
  const int32_t x3 = multiply(x2, x);
  const int32_t x4_over_4 = ek_rounding_shift_right(multiply(x2, x2), 2);
  const int32_t higher_terms = ek_rounding_shift_right(multiply(x4_over_4 + x3, one_third) + x2, 1);
  return exp_of_minus_eighth + multiply(x + higher_terms, exp_of_minus_eighth);
}

/* Q5.26 to Q0.31, x <= 0. */
static int32_t exp_on_negative_values(int32_t x) {
  static const int32_t exp_of_minus_powers[7] = {1672461947, 1302514674, 790015084, 290630308,
                                                 39332535,   720401,     242};
  const int32_t quarter = 1 << 24;
  const int32_t fraction = (x & (quarter - 1)) - quarter;
  const int32_t remainder = fraction - x;
  int32_t result = exp_between_minus_quarter_and_0(fraction * 32);
  for (int32_t i = 0; i < 7; i++) {
    if (remainder & (quarter << i)) {
      result = multiply(result, exp_of_minus_powers[i]);
    }
  }
  return x == 0 ? INT32_MAX : result;
}

/* 1 / (1 + x), Q0.31, x >= 0. */
static int32_t one_over_one_plus(int32_t x) {
  const int32_t half_denominator = (int32_t)(((uint32_t)x + 0x80000000u) >> 1);
  int32_t guess = 1515870810 + multiply(-1010580540, half_denominator); /* 48/17 - 32/17 d, Q2.29 */
  for (int32_t i = 0; i < 3; i++) {
    const int32_t error = (1 << 29) - multiply(half_denominator, guess);
    guess += multiply(error, guess) * 4;
  }
  return guess > INT32_MAX / 2 ? INT32_MAX : guess * 2;
}

static int32_t exponential(const ek_softmax_s8 *layer, int32_t difference) {
  if (difference < layer->diff_min) {
    return 0;
  }
  return exp_on_negative_values(multiply(difference * (1 << layer->shift), layer->multiplier));
}

static int32_t largest(const int8_t *in, int32_t depth) {
  int32_t best = -128;
  for (int32_t c = 0; c < depth; c++) {
    best = in[c] > best ? in[c] : best;
  }
  return best;
}

static void softmax_row(const ek_softmax_s8 *layer, const int8_t *in, int8_t *out) {
  const int32_t top = largest(in, layer->depth);
  const int32_t sum_limit = 512 << 19;
  int32_t sum = 0; /* Q12.19 */
  for (int32_t c = 0; c < layer->depth && sum < sum_limit; c++) {
    sum += ek_rounding_shift_right(exponential(layer, in[c] - top), 12);
  }
  int32_t leading_zeros = 0;
  while (((uint32_t)sum << leading_zeros) < 0x80000000u) {
    leading_zeros++;
  }
  const int32_t over_one = (int32_t)(((uint32_t)sum << leading_zeros) - 0x80000000u);
  const int32_t reciprocal = one_over_one_plus(over_one);
  const int32_t exponent = 12 - leading_zeros + 31 - 8;
  for (int32_t c = 0; c < layer->depth; c++) {
    const int32_t product = multiply(reciprocal, exponential(layer, in[c] - top));
    const int32_t quotient = sum < sum_limit ? ek_rounding_shift_right(product, exponent) : 0;
    out[c] = (int8_t)ek_clamp(quotient - 128, -128, 127);
  }
}

void ek_softmax_s8__ref(const void *layer_, const void *const *inputs, void *output,
                        void *scratch) {
  const ek_softmax_s8 *layer = layer_;
  (void)scratch;
  for (int32_t row = 0; row < layer->rows; row++) {
    softmax_row(layer, (const int8_t *)inputs[0] + row * layer->depth,
                (int8_t *)output + row * layer->depth);
  }
}
