/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_linear_row.h"
#include "ek_requantize.h"

#if !defined(__ARM_FEATURE_DSP)

/* floor(weight * x / 2^8) without a product of more than 32 bits */
static int32_t weighted(int32_t high, int32_t low, int32_t x) {
  return high * x + ((low * x) >> 8);
}

static int8_t finished(const ek_linear_sum_s8 *layer, int32_t sum) {
  const int32_t value = (sum + (sum >> 31) + layer->output_offset) >> 20;
  const int32_t saturated = ek_clamp(value, -128, 127);
  if (layer->finish != EK_LINEAR_CLAMPED) {
    return (int8_t)saturated;
  }
  return (int8_t)(ek_clamp(saturated + layer->raise, -128, 127) - layer->lower);
}

void ek_linear_row(const ek_linear_sum_s8 *layer, ek_linear_weights weights, const int8_t *first,
                   const int8_t *second, int8_t *output, int32_t count) {
  const int32_t first_high = weights.first >> 8, first_low = weights.first & 0xff;
  const int32_t second_high = weights.second >> 8, second_low = weights.second & 0xff;
  const int32_t is_plain = layer->finish == EK_LINEAR_PLAIN;
  for (int32_t i = 0; i < count; i++) {
    const int32_t sum = weights.offset + weighted(first_high, first_low, first[i]) +
                        weighted(second_high, second_low, second[i]);
    output[i] = is_plain ? (int8_t)ek_clamp(sum >> 20, -128, 127) : finished(layer, sum);
  }
}

#endif
