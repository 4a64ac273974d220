/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dsp_part_sums.h"
#include "ek_dsp_requantize.h"

enum { BATCH_PAIRS = 2 };

void ek_dsp_add_part(const ek_dsp_parts *parts, int32_t part, ek_dsp_part_block block,
                     const int16_t *lanes, int32_t *sums) {
  const int32_t pair_words = 2 + 2 * parts->groups;
  const int32_t pair_sums = 2 * block.pixels;
  const int32_t *packed = parts->packed + (part * parts->pairs + block.first_pair) * pair_words;
  int32_t batch_sums[BATCH_PAIRS * 2 * EK_DSP_TILE_PIXELS];
  ek_dsp_pointwise_tile tile;
  tile.channel_step = 0;
  tile.pixel_offsets[0] = tile.pixel_offsets[1] = tile.pixel_offsets[2] = 0;
  tile.lanes = lanes;
  tile.lanes_end = lanes + parts->groups * ek_dsp_lanes_per_group(block.pixels);
  if (part == 0) {
    tile.output = sums;
    tile.packed_end = packed + block.pairs * pair_words;
    ek_dsp_run_pairs(block.pixels, packed, parts->groups, EK_DSP_GENERAL, &tile);
    return;
  }
  for (int32_t left = block.pairs; left > 0; left -= BATCH_PAIRS) {
    const int32_t pairs = left < BATCH_PAIRS ? left : (int32_t)BATCH_PAIRS;
    tile.output = batch_sums;
    tile.packed_end = packed + pairs * pair_words;
    ek_dsp_run_pairs(block.pixels, packed, parts->groups, EK_DSP_GENERAL, &tile);
    packed = tile.packed_end;
    for (const int32_t *sum = batch_sums; sum != batch_sums + pairs * pair_sums; sum++) {
      *sums++ += *sum;
    }
  }
}

static void finish_general(const ek_dsp_parts *parts, const int32_t *scale, const int32_t *sum,
                           int32_t pixels, int8_t *output, int32_t pixel_bytes) {
  const int32_t zero_point = parts->output_zero_point;
  const int32_t minimum = parts->minimum - zero_point;
  const int32_t maximum = parts->maximum - zero_point;
  for (; pixels > 0; pixels--, sum += 2, output += pixel_bytes) {
    const int32_t scaled = ek_scale(*sum, scale[0], scale[1]);
    *output = (int8_t)(ek_clamp(scaled, minimum, maximum) + zero_point);
  }
}

static void finish_fast(const ek_dsp_parts *parts, const int32_t *scale, const int32_t *sum,
                        int32_t pixels, int8_t *output, int32_t pixel_bytes) {
  const int32_t channel[3] = {scale[EK_DSP_MULTIPLIER], scale[EK_DSP_OFFSET],
                              scale[EK_DSP_EXPONENT]};
  const int32_t clamp[2] = {parts->raise, parts->lower};
  for (; pixels > 0; pixels--, sum += 2, output += pixel_bytes) {
    *output = ek_dsp_requantize(2 * *sum, channel, clamp, parts->finish);
  }
}

void ek_dsp_finish_parts(const ek_dsp_parts *parts, ek_dsp_part_block block, const int32_t *sums,
                         int32_t channels, int8_t *output, int32_t pixel_bytes) {
  const int32_t *scale = parts->scales + 3 * parts->pair_channels * block.first_pair;
  for (int32_t channel = 0; channel < channels; channel++, scale += 3) {
    const int32_t second = parts->pair_channels == 2 ? channel & 1 : 0;
    if (parts->finish == EK_DSP_GENERAL) {
      finish_general(parts, scale, sums + second, block.pixels, output + channel, pixel_bytes);
    } else {
      finish_fast(parts, scale, sums + second, block.pixels, output + channel, pixel_bytes);
    }
    sums += second == parts->pair_channels - 1 ? 2 * block.pixels : 0;
  }
}
