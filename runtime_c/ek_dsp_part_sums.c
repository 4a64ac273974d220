/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dsp_part_sums.h"
#include "ek_dsp_pointwise_tile.h"
#include "ek_dsp_requantize.h"

#include <string.h>

enum { BATCH_PAIRS = 8, GROUP_BYTES = 4 };

/* The lanes of a part, behind the sums. */
static const int16_t *expand_part(const ek_fully_connected_s8_parts *layer, const int8_t *x,
                                  void *scratch) {
  int16_t *lanes = (int16_t *)(void *)((int32_t *)scratch + layer->output_channels);
  int8_t whole[GROUP_BYTES] = {0, 0, 0, 0};
  if (layer->part_bytes < GROUP_BYTES) {
    memcpy(whole, x, (size_t)layer->part_bytes);
    x = whole;
  }
  ek_dsp_expand_few(&x, &x + 1, lanes, &layer->windows, 1);
  return lanes;
}

void ek_dsp_add_part(const ek_fully_connected_s8_parts *layer, const int8_t *x, int32_t part,
                     void *scratch) {
  const int32_t channels = layer->output_channels;
  const int32_t pair_channels = layer->pair_channels;
  const int32_t pair_words = 2 + 2 * layer->groups;
  const int32_t pairs = (channels + pair_channels - 1) / pair_channels;
  const int32_t *packed = layer->packed + part * pairs * pair_words;
  const int32_t *end = packed + pairs * pair_words;
  int32_t *total = (int32_t *)scratch;
  int32_t left = channels;
  int32_t sums[BATCH_PAIRS * 2];
  ek_dsp_registers saved;
  ek_dsp_pointwise_tile tile;
  tile.lanes = expand_part(layer, x, scratch);
  tile.lanes_end = tile.lanes + layer->groups * ek_dsp_lanes_per_group(1);
  tile.channel_step = 0;
  tile.pixel_offsets[0] = tile.pixel_offsets[1] = tile.pixel_offsets[2] = 0;
  while (packed != end) {
    const int32_t *batch_end = packed + BATCH_PAIRS * pair_words;
    tile.output = sums;
    tile.packed_end = left > BATCH_PAIRS * pair_channels ? batch_end : end;
    ek_dsp_pointwise_tile_1(&saved, packed, layer->groups, EK_DSP_GENERAL, tile);
    packed = tile.packed_end;
    for (const int32_t *sum = sums; left > 0 && sum != sums + BATCH_PAIRS * 2;
         sum += 3 - pair_channels) {
      *total = part == 0 ? *sum : *total + *sum;
      total++;
      left--;
    }
  }
}

void ek_dsp_finish_parts(const ek_fully_connected_s8_parts *layer, const void *scratch,
                         int8_t *output) {
  const int32_t *sums = (const int32_t *)scratch;
  const int32_t *scale = layer->scales;
  for (int32_t c = 0; c < layer->output_channels; c++, scale += 2) {
    const int32_t scaled = ek_scale(sums[c], scale[0], scale[1]);
    output[c] = (int8_t)ek_clamp(scaled + layer->output_zero_point, layer->minimum, layer->maximum);
  }
}
