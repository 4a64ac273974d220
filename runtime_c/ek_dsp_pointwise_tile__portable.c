/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dsp_pointwise_tile.h"
#include "ek_dsp_requantize.h"

#if !defined(__ARM_FEATURE_DSP)

enum { LANES_PER_GROUP = 16 };

typedef struct {
  int32_t low;
  int32_t high;
} sums;

void ek_dsp_expand(const int8_t *pixels, int32_t pixel_bytes, int32_t channel_groups, int32_t count,
                   int16_t *lanes) {
  for (int32_t pixel = 0; pixel < count; pixel++, pixels += pixel_bytes) {
    for (int32_t channel = 0; channel < channel_groups * 4; channel++) {
      const int32_t odd = channel & 1;
      const int32_t second = (channel >> 1) & 1;
      lanes[channel / 4 * LANES_PER_GROUP + odd * 8 + pixel * 2 + second] = pixels[channel];
    }
  }
}

static int32_t low_half(int32_t word) { return (int16_t)(uint16_t)((uint32_t)word & 0xffffu); }

static void accumulate(sums *sum, int32_t lane, int32_t x) {
  const int32_t low = (int8_t)(uint8_t)((uint32_t)lane & 0xffu);
  sum->low += x * low;
  sum->high += x * ((lane - low) >> 8);
}

/* Sums without biases; words: the packed lanes of the pair. */
static sums dot(const int32_t *words, const int16_t *lanes, int32_t groups, int32_t pixel) {
  sums sum = {0, 0};
  for (int32_t half = 0; half < groups * 2; half++) {
    const int16_t *x = lanes + half * (LANES_PER_GROUP / 2) + pixel * 2;
    accumulate(&sum, low_half(words[half]), x[0]);
    accumulate(&sum, words[half] >> 16, x[1]);
  }
  return sum;
}

static const int32_t *pair_end(const int32_t *finish_words, int32_t finish) {
  static const int8_t words[4] = {7, 7, 11, 1};
  return finish_words + words[finish];
}

static void finish_pixel(sums sum, int32_t bias, const int32_t *words, int32_t finish, int8_t *low,
                         int8_t *high) {
  const int32_t *second = words + (finish == EK_DSP_CLAMPED ? 5 : 3);
  *low = ek_dsp_requantize(2 * (sum.low + bias), words, words + 3, finish);
  *high = ek_dsp_requantize(2 * sum.high + second[3], second, second + 4, finish);
}

static void tile_of(const int32_t *packed, int32_t groups, int32_t finish,
                    ek_dsp_pointwise_tile tile, int32_t pixels) {
  const int32_t offsets[4] = {0, tile.pixel_offsets[0], tile.pixel_offsets[1],
                              tile.pixel_offsets[2]};
  int8_t *bytes = (int8_t *)tile.output;
  int32_t *accumulators = (int32_t *)tile.output;
  while (packed != tile.packed_end) {
    const int32_t *finish_words = packed + 1 + groups * 2;
    for (int32_t pixel = 0; pixel < pixels; pixel++) {
      const sums sum = dot(packed + 1, tile.lanes, groups, pixel);
      if (finish == EK_DSP_GENERAL) {
        *accumulators++ = sum.low + packed[0];
        *accumulators++ = sum.high + finish_words[0];
      } else {
        int8_t low;
        int8_t high;
        finish_pixel(sum, packed[0], finish_words, finish, &low, &high);
        bytes[offsets[pixel]] = low;
        bytes[offsets[pixel] + tile.channel_step] = high;
      }
    }
    if (finish != EK_DSP_GENERAL) {
      bytes += 2 * tile.channel_step;
    }
    packed = pair_end(finish_words, finish);
  }
}

void ek_dsp_pointwise_tile_1(ek_dsp_registers *saved, const int32_t *packed, int32_t groups,
                             int32_t finish, ek_dsp_pointwise_tile tile) {
  (void)saved;
  tile_of(packed, groups, finish, tile, 1);
}

void ek_dsp_pointwise_tile_2(ek_dsp_registers *saved, const int32_t *packed, int32_t groups,
                             int32_t finish, ek_dsp_pointwise_tile tile) {
  (void)saved;
  tile_of(packed, groups, finish, tile, 2);
}

void ek_dsp_pointwise_tile_3(ek_dsp_registers *saved, const int32_t *packed, int32_t groups,
                             int32_t finish, ek_dsp_pointwise_tile tile) {
  (void)saved;
  tile_of(packed, groups, finish, tile, 3);
}

void ek_dsp_pointwise_tile_4(ek_dsp_registers *saved, const int32_t *packed, int32_t groups,
                             int32_t finish, ek_dsp_pointwise_tile tile) {
  (void)saved;
  tile_of(packed, groups, finish, tile, 4);
}

#endif
