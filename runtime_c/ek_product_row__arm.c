/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_product_row.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

#include "ek_dsp_words.h"

/* Inlined for each finish, so that none is decided in the loop. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE int8_t finished(const ek_product_s8 *layer, int32_t finish, int32_t doubled) {
  const int32_t nudge = finish == EK_DSP_AT_ZERO_POINT ? 0 : doubled >> 31;
  const int32_t high = ek_smmlar(doubled, layer->multiplier, layer->offset + nudge);
  const int32_t saturated = ek_saturate(high >> layer->exponent);
  if (finish != EK_DSP_CLAMPED) {
    return (int8_t)saturated;
  }
  return (int8_t)(ek_qadd8(saturated, layer->raise) - layer->lower);
}

static inline uint32_t both_halves(int32_t x) {
  return ((uint32_t)x & 0xffffu) | (uint32_t)x << 16;
}

ALWAYS_INLINE void run(const ek_product_s8 *pointed, int32_t finish, const int8_t *first,
                       const int8_t *second, int8_t *output, int32_t count) {
  const ek_product_s8 layer = *pointed;
  const uint32_t first_zero = both_halves(-layer.first_zero_point);
  const uint32_t second_zero = both_halves(-layer.second_zero_point);
  for (const int8_t *end = output + (count & ~3); output != end; output += 4) {
    const uint32_t x = ek_load_word(first), y = ek_load_word(second);
    const uint32_t x_even = ek_add_even_bytes(first_zero, x);
    const uint32_t x_odd = ek_add_odd_bytes(first_zero, x);
    const uint32_t y_even = ek_add_even_bytes(second_zero, y);
    const uint32_t y_odd = ek_add_odd_bytes(second_zero, y);
    const uint32_t even = ek_add_halves(x_even, x_even), odd = ek_add_halves(x_odd, x_odd);
    output[0] = finished(&layer, finish, ek_smulbb(even, y_even));
    output[1] = finished(&layer, finish, ek_smulbb(odd, y_odd));
    output[2] = finished(&layer, finish, ek_smultt(even, y_even));
    output[3] = finished(&layer, finish, ek_smultt(odd, y_odd));
    first += 4;
    second += 4;
  }
  for (int32_t i = 0; i < (count & 3); i++) {
    const int32_t factor = second[i] - layer.second_zero_point;
    output[i] = finished(&layer, finish, 2 * (first[i] - layer.first_zero_point) * factor);
  }
}

void ek_product_row(const ek_product_s8 *layer, const int8_t *first, const int8_t *second,
                    int8_t *output, int32_t count) {
  if (layer->finish == EK_DSP_AT_ZERO_POINT) {
    run(layer, EK_DSP_AT_ZERO_POINT, first, second, output, count);
  } else if (layer->finish == EK_DSP_LINEAR) {
    run(layer, EK_DSP_LINEAR, first, second, output, count);
  } else {
    run(layer, EK_DSP_CLAMPED, first, second, output, count);
  }
}

#endif
