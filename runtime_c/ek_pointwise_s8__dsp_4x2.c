/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dsp_tiles.h"
#include "ek_pointwise_s8.h"

void ek_pointwise_s8__dsp_4x2(const void *layer_, const void *const *rows, void *output,
                              const ek_region *region, void *scratch) {
  const ek_pointwise_s8 *layer = (const ek_pointwise_s8 *)layer_;
  const ek_dsp_pairs *pairs = &layer->pairs;
  const int32_t step = layer->windows.pixel_step;
  const int32_t channels = region->channel_end - region->channel_begin;
  const int32_t first_pair = region->channel_begin / pairs->pair_channels;
  const ek_dsp_tiles_place place = {channels, channels, region->column_begin};
  const int8_t *pixels = (const int8_t *)rows[0] + region->column_begin * step;
  int16_t *lanes = (int16_t *)scratch;
  ek_dsp_tiles tiles;
  ek_dsp_tiles_begin(&tiles, pairs, &layer->windows, pairs->packed + first_pair * pairs->pair_words,
                     place, output, lanes);
  for (int32_t left = region->column_end - region->column_begin; left > 0;
       left -= EK_DSP_TILE_PIXELS) {
    const int32_t count = left < EK_DSP_TILE_PIXELS ? left : (int32_t)EK_DSP_TILE_PIXELS;
    ek_dsp_expand(&tiles.expansion, &pixels, 1, count, lanes);
    ek_dsp_tiles_next(&tiles, count);
    pixels += EK_DSP_TILE_PIXELS * step;
  }
}
