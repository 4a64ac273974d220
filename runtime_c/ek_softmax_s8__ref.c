/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_exponential.h"
#include "ek_requantize.h"
#include "ek_softmax_s8.h"

static int32_t exponential(const ek_softmax_s8 *layer, int32_t difference) {
  if (difference < layer->diff_min) {
    return 0;
  }
  return ek_exp_of_negative(
      ek_doubling_high_multiply(difference * (1 << layer->shift), layer->multiplier));
}

static int32_t largest(const int8_t *in, int32_t depth) {
  int32_t best = -128;
  for (int32_t c = 0; c < depth; c++) {
    best = in[c] > best ? in[c] : best;
  }
  return best;
}

static void softmax_pixel(const ek_softmax_s8 *layer, const int8_t *in, int8_t *out) {
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
  const int32_t reciprocal = ek_one_over_one_plus(over_one);
  const int32_t exponent = 12 - leading_zeros + 31 - 8;
  for (int32_t c = 0; c < layer->depth; c++) {
    const int32_t product = ek_doubling_high_multiply(reciprocal, exponential(layer, in[c] - top));
    const int32_t quotient = sum < sum_limit ? ek_rounding_shift_right(product, exponent) : 0;
    out[c] = (int8_t)ek_clamp(quotient - 128, -128, 127);
  }
}

void ek_softmax_s8__ref(const void *layer_, const void *const *rows, void *output,
                        const ek_region *region, void *scratch) {
  const ek_softmax_s8 *layer = (const ek_softmax_s8 *)layer_;
  (void)scratch;
  for (int32_t x = region->column_begin; x < region->column_end; x++) {
    softmax_pixel(layer, (const int8_t *)rows[0] + x * layer->depth,
                  (int8_t *)output + x * layer->depth);
  }
}
