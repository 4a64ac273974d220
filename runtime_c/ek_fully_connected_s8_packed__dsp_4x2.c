/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dsp_requantize.h"
#include "ek_dsp_tiles.h"
#include "ek_fully_connected_s8_packed.h"

void ek_fully_connected_s8_packed__dsp_4x2(const void *layer_, const void *const *inputs,
                                           void *output, void *scratch) {
  const ek_fully_connected_s8_packed *layer = (const ek_fully_connected_s8_packed *)layer_;
  const ek_dsp_pairs *pairs = &layer->pairs;
  const ek_dsp_tiles_place place = {layer->output_channels, layer->output_channels, 0};
  const int8_t *row = (const int8_t *)inputs[0];
  int16_t *lanes = (int16_t *)scratch + (pairs->finish == EK_DSP_GENERAL ? EK_DSP_SUMS * 2 : 0);
  ek_dsp_tiles tiles;
  ek_dsp_tiles_begin(&tiles, pairs, &layer->windows, pairs->packed, place, output, lanes);
  tiles.sums = (int32_t *)scratch; /* in front: the lanes of one row are shorter than a tile's */
  for (int32_t left = layer->rows; left > 0; left -= EK_DSP_TILE_PIXELS) {
    const int32_t count = left < EK_DSP_TILE_PIXELS ? left : (int32_t)EK_DSP_TILE_PIXELS;
    ek_dsp_expand(&tiles.expansion, &row, 1, count, lanes);
    ek_dsp_tiles_next(&tiles, count);
    row += EK_DSP_TILE_PIXELS * layer->windows.pixel_step;
  }
}
