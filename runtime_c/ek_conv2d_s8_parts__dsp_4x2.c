/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_conv2d_s8_parts.h"
#include "ek_dsp_gather.h"
#include "ek_dsp_part_sums.h"

void ek_conv2d_s8_parts__dsp_4x2(const void *layer_, const void *const *rows, void *output,
                                 const ek_region *region, void *scratch) {
  const ek_conv2d_s8_parts *layer = (const ek_conv2d_s8_parts *)layer_;
  const ek_dsp_geometry *geometry = &layer->geometry;
  const ek_dsp_parts *parts = &layer->sums;
  const int32_t step = geometry->windows.pixel_step;
  const int32_t channels = region->channel_end - region->channel_begin;
  int32_t *sums = (int32_t *)scratch;
  int16_t *lanes = (int16_t *)(void *)(sums + 2 * EK_DSP_TILE_PIXELS * parts->pairs);
  int8_t *padded = (int8_t *)(lanes + parts->groups * EK_DSP_GROUP_LANES);
  ek_dsp_expansion expansion;
  ek_dsp_part_block block;
  expansion.windows = geometry->windows;
  block.first_pair = region->channel_begin / parts->pair_channels;
  block.pairs = (channels + parts->pair_channels - 1) / parts->pair_channels;
  for (int32_t column = region->column_begin; column < region->column_end;
       column += EK_DSP_TILE_PIXELS) {
    const int32_t left = region->column_end - column;
    block.pixels = left < EK_DSP_TILE_PIXELS ? left : (int32_t)EK_DSP_TILE_PIXELS;
    for (int32_t ky = 0; ky < layer->kernel_height; ky++) {
      ek_dsp_gather(geometry, &expansion, rows + ky, rows[ky] != NULL,
                    column * step - geometry->pad_bytes, block.pixels, lanes, padded);
      ek_dsp_add_part(parts, ky, block, lanes, sums);
    }
    ek_dsp_finish_parts(parts, block, sums, channels, (int8_t *)output + column * channels,
                        channels);
  }
}
