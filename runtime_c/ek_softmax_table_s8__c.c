/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_exponential.h"
#include "ek_softmax_table_s8.h"

enum { SUM_LIMIT = 512 << 19 };

static int32_t exponential(const ek_softmax_table_s8 *layer, int32_t difference) {
  return difference < layer->length ? layer->exponentials[difference] : 0;
}

static int32_t largest(const int8_t *in, int32_t depth) {
  int32_t best = -128;
  for (int32_t c = 0; c < depth; c++) {
    best = in[c] > best ? in[c] : best;
  }
  return best;
}

/* Q12.19, SUM_LIMIT or more where it would not fit */
static int32_t sum_of(const ek_softmax_table_s8 *layer, const int8_t *in, int32_t top) {
  int32_t sum = 0;
  for (int32_t c = 0; c < layer->depth && sum < SUM_LIMIT; c++) {
    sum += (int32_t)(((uint32_t)exponential(layer, top - in[c]) + (1u << 11)) >> 12);
  }
  return sum;
}

static int32_t leading_zeros_of(int32_t sum) {
  int32_t zeros = 0;
  while (((uint32_t)sum << zeros) < 0x80000000u) {
    zeros++;
  }
  return zeros;
}

static void softmax_pixel(const ek_softmax_table_s8 *layer, const int8_t *in, int8_t *out) {
  const int32_t top = largest(in, layer->depth);
  const int32_t sum = sum_of(layer, in, top);
  if (sum >= SUM_LIMIT) {
    for (int32_t c = 0; c < layer->depth; c++) {
      out[c] = -128;
    }
    return;
  }
  const int32_t leading_zeros = leading_zeros_of(sum);
  const int32_t reciprocal =
      ek_one_over_one_plus((int32_t)(((uint32_t)sum << leading_zeros) - 0x80000000u));
  const int32_t exponent = 12 - leading_zeros + 31 - 8;
  const int32_t half = 1 << (exponent - 1); /* nothing is negative, so ties go up */
  for (int32_t c = 0; c < layer->depth; c++) {
    const int32_t product = ek_doubling_high_multiply(reciprocal, exponential(layer, top - in[c]));
    const int32_t quotient = (int32_t)(((uint32_t)product + (uint32_t)half) >> exponent);
    out[c] = (int8_t)(quotient > 255 ? 127 : quotient - 128);
  }
}

void ek_softmax_table_s8__c(const void *layer_, const void *const *rows, void *output,
                            const ek_region *region, void *scratch) {
  const ek_softmax_table_s8 *layer = (const ek_softmax_table_s8 *)layer_;
  (void)scratch;
  for (int32_t x = region->column_begin; x < region->column_end; x++) {
    softmax_pixel(layer, (const int8_t *)rows[0] + x * layer->depth,
                  (int8_t *)output + x * layer->depth);
  }
}
