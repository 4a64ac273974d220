/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_exponential.h"
#include "ek_log_softmax_s8.h"
#include "ek_requantize.h"

static int32_t multiply(int32_t a, int32_t b) { return ek_doubling_high_multiply(a, b); }

static int32_t leading_zeros(int32_t x) {
  int32_t count = 0;
  while (((uint32_t)x << count) < 0x80000000u) {
    count++;
  }
  return count;
}

/* x * 2^shift, x >= 0. */
static int32_t saturating_shift_left(int32_t x, int32_t shift) {
  return x > (INT32_MAX >> shift) ? INT32_MAX : x * (1 << shift);
}

/* log(x 2^(1/4)) in Q6.25 for x around 2^(-1/4), in [2^(-1/2), 1], Q0.31. */
static int32_t log_around_fourth_root_of_half(int32_t x) {
  const int32_t fourth_root_of_half = 1805811301;
  const int32_t middle = (int32_t)(((int64_t)x + fourth_root_of_half + 1) >> 1);
  const int32_t q = (x - fourth_root_of_half) * 2;
  const int32_t square = multiply(q, q);
  const int32_t numerator = multiply(q, x) + multiply(multiply(q, square), 117049297);
  const int32_t inner = 1057819769 + q + multiply(square, 127690142);
  const int32_t denominator = multiply(middle, inner) + multiply(q, 638450708);
  return multiply(ek_rounding_shift_right(numerator, 6), ek_one_over_one_plus(denominator));
}

/* Q12.19 to Q5.26, x >= 1. */
static int32_t log_of_at_least_1(int32_t x) {
  const int32_t sqrt_half = 1518500250;
  const int32_t log_2 = 1488522236;
  const int32_t quarter = 1 << 23; /* Q6.25 */
  const int32_t zeros = leading_zeros(x);
  const int32_t half_zeros = leading_zeros(multiply(x, sqrt_half)) - 1;
  const int32_t plain = saturating_shift_left(multiply(x << (zeros - 1), sqrt_half), 1);
  const int32_t halved = saturating_shift_left(x, half_zeros);
  const int32_t plain_power = (12 - zeros) * (1 << 25) + quarter;
  const int32_t halved_power = (12 - half_zeros) * (1 << 25) - quarter;
  const int32_t power = plain_power > halved_power ? plain_power : halved_power;
  const int32_t ratio = plain < halved ? plain : halved;
  const int32_t result = multiply(power, log_2) + log_around_fourth_root_of_half(ratio);
  return result > INT32_MAX / 2 ? INT32_MAX : result * 2;
}

static int32_t largest(const int8_t *in, int32_t depth) {
  int32_t best = -128;
  for (int32_t c = 0; c < depth; c++) {
    best = in[c] > best ? in[c] : best;
  }
  return best;
}

static int32_t scaled(const ek_log_softmax_s8 *layer, int32_t difference) {
  return multiply((int32_t)((uint32_t)difference << layer->shift), layer->multiplier);
}

static int32_t log_of_sum(const ek_log_softmax_s8 *layer, const int8_t *in, int32_t top) {
  int32_t sum = 0; /* Q12.19 */
  for (int32_t c = 0; c < layer->depth; c++) {
    if (in[c] - top >= layer->diff_min) {
      sum += ek_rounding_shift_right(ek_exp_of_negative(scaled(layer, in[c] - top)), 12);
    }
  }
  return log_of_at_least_1(sum);
}

void ek_log_softmax_s8__ref(const void *layer_, const void *const *inputs, void *output,
                            void *scratch) {
  const ek_log_softmax_s8 *layer = (const ek_log_softmax_s8 *)layer_;
  const int8_t *in = (const int8_t *)inputs[0];
  int8_t *out = (int8_t *)output;
  (void)scratch;
  for (int32_t row = 0; row < layer->rows; row++) {
    const int32_t top = largest(in, layer->depth);
    const int32_t logarithm = log_of_sum(layer, in, top);
    const int32_t reversed =
        ek_scale(logarithm + INT32_MIN, layer->reverse_multiplier, layer->reverse_shift);
    const int32_t below = reversed > layer->diff_min - 1 ? reversed : layer->diff_min - 1;
    for (int32_t c = 0; c < layer->depth; c++) {
      const int32_t difference = in[c] - top;
      int32_t value = -128;
      if (difference > below) {
        value = ek_rounding_shift_right(scaled(layer, difference) - logarithm, 22) + 127;
      }
      out[c] = (int8_t)ek_clamp(value, -128, 127);
    }
    in += layer->depth;
    out += layer->depth;
  }
}
