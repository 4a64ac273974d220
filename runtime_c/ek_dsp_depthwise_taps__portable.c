/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dsp_depthwise_taps.h"
#include "ek_dsp_requantize.h"

#if !defined(__ARM_FEATURE_DSP)

static int32_t low_half(int32_t word) { return (int16_t)(uint16_t)((uint32_t)word & 0xffffu); }

/* The sum of one channel of a group, without its bias. */
static int32_t sum_of(const ek_dsp_depthwise_taps *taps, const int32_t *weights, int32_t channel,
                      int32_t offset) {
  const int8_t *const *tap = taps->taps;
  int32_t sum = 0;
  for (; tap != taps->last_tap; tap += 2, weights += 4) {
    sum += tap[0][offset] * low_half(weights[channel]) + tap[1][offset] * (weights[channel] >> 16);
  }
  if (taps->is_odd != 0) {
    const int32_t word = weights[channel & 1];
    sum += tap[0][offset] * (channel < 2 ? low_half(word) : word >> 16);
  }
  return sum;
}

/* One group; behind its parameters. */
static const int32_t *group_of(const ek_dsp_depthwise_taps *taps, const int32_t *packed,
                               int32_t offset, int32_t spread, uint8_t *output) {
  const int32_t *weights = packed + 4;
  const int32_t *scales = weights + (taps->last_tap - taps->taps) * 2 + (taps->is_odd != 0 ? 2 : 0);
  for (int32_t channel = 0; channel < 4; channel++, scales += 3) {
    const int32_t sum = packed[channel] + sum_of(taps, weights, channel, offset);
    if (taps->finish == EK_DSP_GENERAL) {
      ((int32_t *)(void *)output)[channel] = sum;
    } else if ((uintptr_t)channel < taps->outputs) {
      const int32_t value = ek_dsp_requantize(sum, scales, taps->clamp, (int32_t)taps->finish);
      output[channel] = (uint8_t)value;
    }
    offset += spread;
  }
  return scales;
}

static void pixels_of(const int32_t *packed, int32_t offset, const ek_dsp_depthwise_taps *taps,
                      int32_t spread, int32_t step) {
  uint8_t *output = (uint8_t *)taps->output;
  for (int32_t pixel = 0; pixel < taps->pixels; pixel++) {
    for (const int32_t *group = packed; group != taps->packed_end; offset += step) {
      group = group_of(taps, group, offset, spread, output);
      output += taps->output_step;
    }
    offset += taps->input_gap;
    output += taps->output_gap;
  }
}

void ek_dsp_depthwise_taps_of_4(ek_dsp_registers *saved, const int32_t *packed,
                                int32_t input_offset, int32_t nothing, ek_dsp_depthwise_taps taps) {
  (void)saved;
  (void)nothing;
  pixels_of(packed, input_offset, &taps, 1, 4);
}

void ek_dsp_depthwise_taps_of_1(ek_dsp_registers *saved, const int32_t *packed,
                                int32_t input_offset, int32_t nothing, ek_dsp_depthwise_taps taps) {
  (void)saved;
  (void)nothing;
  pixels_of(packed, input_offset, &taps, 0, 1);
}

#endif
