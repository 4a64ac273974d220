/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_linear_row.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

#include "ek_dsp_words.h"

/* saturate(sum >> 20), one instruction */
static inline int32_t round_down(int32_t sum) {
  int32_t saturated;
  __asm__("ssat %0, #8, %1, asr #20" : "=r"(saturated) : "r"(sum));
  return saturated;
}

/* Inlined for each finish, so that none is decided in the loop. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE int8_t finished(const ek_linear_sum_s8 *layer, int32_t finish, int32_t sum) {
  if (finish == EK_LINEAR_PLAIN) {
    return (int8_t)round_down(sum);
  }
  const int32_t nudged = round_down(sum + (layer->output_offset + (sum >> 31)));
  if (finish == EK_LINEAR_NUDGED) {
    return (int8_t)nudged;
  }
  return (int8_t)(ek_qadd8(nudged, layer->raise) - layer->lower);
}

/* Bytes become halves, times 2^8: SMLAW divides a product by 2^16. */
static inline uint32_t even_lanes(uint32_t word) { return (word << 8) & 0xff00ff00u; }
static inline uint32_t odd_lanes(uint32_t word) { return word & 0xff00ff00u; }

static inline int32_t low_sum(ek_linear_weights weights, uint32_t x, uint32_t y) {
  return ek_smlawb(weights.second, y, ek_smlawb(weights.first, x, weights.offset));
}

static inline int32_t high_sum(ek_linear_weights weights, uint32_t x, uint32_t y) {
  return ek_smlawt(weights.second, y, ek_smlawt(weights.first, x, weights.offset));
}

ALWAYS_INLINE void run(const ek_linear_sum_s8 *pointed, int32_t finish, ek_linear_weights weights,
                       const int8_t *first, const int8_t *second, int8_t *output, int32_t count) {
  const ek_linear_sum_s8 layer = *pointed;
  for (const int8_t *end = output + (count & ~3); output != end; output += 4) {
    const uint32_t x = ek_load_word(first), y = ek_load_word(second);
    const int32_t sum0 = low_sum(weights, even_lanes(x), even_lanes(y));
    const int32_t sum1 = low_sum(weights, odd_lanes(x), odd_lanes(y));
    const int32_t sum2 = high_sum(weights, even_lanes(x), even_lanes(y));
    const int32_t sum3 = high_sum(weights, odd_lanes(x), odd_lanes(y));
    output[0] = finished(&layer, finish, sum0);
    output[1] = finished(&layer, finish, sum1);
    output[2] = finished(&layer, finish, sum2);
    output[3] = finished(&layer, finish, sum3);
    first += 4;
    second += 4;
  }
  for (int32_t i = 0; i < (count & 3); i++) {
    const int32_t sum = low_sum(weights, (uint32_t)(first[i] * 256), (uint32_t)(second[i] * 256));
    output[i] = finished(&layer, finish, sum);
  }
}

void ek_linear_row(const ek_linear_sum_s8 *layer, ek_linear_weights weights, const int8_t *first,
                   const int8_t *second, int8_t *output, int32_t count) {
  if (layer->finish == EK_LINEAR_PLAIN) {
    run(layer, EK_LINEAR_PLAIN, weights, first, second, output, count);
  } else if (layer->finish == EK_LINEAR_NUDGED) {
    run(layer, EK_LINEAR_NUDGED, weights, first, second, output, count);
  } else {
    run(layer, EK_LINEAR_CLAMPED, weights, first, second, output, count);
  }
}

#endif
