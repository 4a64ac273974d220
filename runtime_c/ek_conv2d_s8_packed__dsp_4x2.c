/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_conv2d_s8_packed.h"
#include "ek_dsp_gather.h"

/* The outputs of one group of channels. */
static void run_group(const ek_conv2d_s8_packed *layer, const void *const *rows,
                      const ek_region *region, int32_t begin, ek_dsp_tiles *tiles, int16_t *lanes) {
  const int32_t sums = layer->pairs.finish == EK_DSP_GENERAL ? (int32_t)EK_DSP_SUMS : 0;
  int8_t *padded = (int8_t *)(tiles->sums + sums);
  const int are_real = ek_dsp_are_rows_real(rows, layer->geometry.kernel_height);
  for (int32_t left = region->column_end - region->column_begin; left > 0;
       left -= EK_DSP_TILE_PIXELS) {
    const int32_t count = left < EK_DSP_TILE_PIXELS ? left : (int32_t)EK_DSP_TILE_PIXELS;
    ek_dsp_gather(&layer->geometry, &tiles->expansion, rows, are_real, begin, count, lanes, padded);
    ek_dsp_tiles_next(tiles, count);
    begin += EK_DSP_TILE_PIXELS * layer->geometry.windows.pixel_step;
  }
}

void ek_conv2d_s8_packed__dsp_4x2(const void *layer_, const void *const *rows, void *output,
                                  const ek_region *region, void *scratch) {
  const ek_conv2d_s8_packed *layer = (const ek_conv2d_s8_packed *)layer_;
  const ek_dsp_pairs *pairs = &layer->pairs;
  const int32_t begin =
      region->column_begin * layer->geometry.windows.pixel_step - layer->geometry.pad_bytes;
  const int32_t block = region->channel_end - region->channel_begin;
  const int32_t channels = layer->channel_groups == 1 ? block : layer->group_outputs;
  const int32_t group_pairs = (channels + pairs->pair_channels - 1) / pairs->pair_channels;
  const int32_t *packed =
      pairs->packed + region->channel_begin / pairs->pair_channels * pairs->pair_words;
  const ek_dsp_tiles_place place = {channels, block, region->column_begin};
  for (int32_t group = 0; group < layer->channel_groups; group++) {
    int16_t *lanes = (int16_t *)scratch;
    int8_t *group_output = (int8_t *)output + group * channels * pairs->channel_step;
    ek_dsp_tiles tiles;
    ek_dsp_tiles_begin(&tiles, pairs, &layer->geometry.windows, packed, place, group_output, lanes);
    run_group(layer, rows, region, begin + group * layer->group_inputs, &tiles, lanes);
    packed += group_pairs * pairs->pair_words;
  }
}
