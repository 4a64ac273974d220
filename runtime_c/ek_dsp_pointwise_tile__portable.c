/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dsp_pointwise_tile.h"
#include "ek_dsp_requantize.h"

#if !defined(__ARM_FEATURE_DSP)

typedef struct {
  int32_t low;
  int32_t high;
} sums;

static int16_t *expand_group(const int8_t *x, int32_t pixel_step, int32_t pixels, int16_t *lanes) {
  int16_t *second = lanes + ek_dsp_lanes_per_group(pixels) / 2;
  for (int32_t pixel = 0; pixel < pixels; pixel++, x += pixel_step) {
    lanes[pixel * 2] = x[0];
    lanes[pixel * 2 + 1] = x[2];
    second[pixel * 2] = x[1];
    second[pixel * 2 + 1] = x[3];
  }
  return lanes + ek_dsp_lanes_per_group(pixels);
}

int16_t *ek_dsp_expand_few(const int8_t *const *segments, const int8_t *const *segments_end,
                           int16_t *lanes, const ek_dsp_windows *windows, int32_t pixels) {
  const int32_t bytes = windows->segment_bytes;
  for (; segments != segments_end; segments++) {
    for (int32_t first = 0; first < bytes; first += 4) {
      lanes = expand_group(*segments + first, windows->pixel_step, pixels, lanes);
    }
    if (windows->overlap != 0) {
      const int8_t *rest = *segments + (bytes - windows->overlap);
      lanes = expand_group(rest, windows->pixel_step, pixels, lanes);
    }
  }
  return lanes;
}

int16_t *ek_dsp_expand_4(ek_dsp_registers *saved, const int8_t *const *segments,
                         const int8_t *const *segments_end, int16_t *lanes,
                         ek_dsp_expansion expansion) {
  (void)saved;
  return ek_dsp_expand_few(segments, segments_end, lanes, &expansion.windows, 4);
}

static int32_t low_half(int32_t word) { return (int16_t)(uint16_t)((uint32_t)word & 0xffffu); }

static void accumulate(sums *sum, int32_t lane, int32_t x) {
  const int32_t low = (int8_t)(uint8_t)((uint32_t)lane & 0xffu);
  sum->low += x * low;
  sum->high += x * ((lane - low) >> 8);
}

/* Sums without biases; words: the packed lanes of the pair. */
static sums dot(const int32_t *words, const int16_t *lanes, int32_t groups, int32_t half_lanes) {
  sums sum = {0, 0};
  for (int32_t half = 0; half < groups * 2; half++) {
    const int16_t *x = lanes + half * half_lanes;
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
  const int32_t half_lanes = ek_dsp_lanes_per_group(pixels) / 2;
  int8_t *bytes = (int8_t *)tile.output;
  int32_t *accumulators = (int32_t *)tile.output;
  while (packed != tile.packed_end) {
    const int32_t *finish_words = packed + 1 + groups * 2;
    for (int32_t pixel = 0; pixel < pixels; pixel++) {
      const sums sum = dot(packed + 1, tile.lanes + pixel * 2, groups, half_lanes);
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
