/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dsp_tiles.h"
#include "ek_dsp_requantize.h"
#include "ek_row_planar.h"

static int32_t byte_of(const ek_dsp_pairs *pairs, int32_t pixel_channels, int32_t column) {
  return pairs->is_planar ? ek_planar_byte(column + pairs->planar_pad_left)
                          : column * pixel_channels;
}

void ek_dsp_tiles_begin(ek_dsp_tiles *tiles, const ek_dsp_pairs *pairs,
                        const ek_dsp_windows *windows, const int32_t *packed,
                        ek_dsp_tiles_place place, void *output, int16_t *lanes) {
  const int32_t first_byte = byte_of(pairs, place.pixel_channels, place.column);
  const int32_t odd = pairs->pair_channels == 2 ? place.channels & 1 : 0;
  tiles->pairs = pairs;
  tiles->packed = packed;
  tiles->single = packed + (place.channels - odd) / pairs->pair_channels * pairs->pair_words;
  tiles->packed_end = tiles->single + odd * pairs->pair_words;
  tiles->channels = place.channels;
  tiles->output = (int8_t *)output + first_byte;
  tiles->tile_bytes = EK_DSP_TILE_PIXELS * (pairs->is_planar ? 1 : place.pixel_channels);
  tiles->expansion.windows = *windows;
  tiles->tile.channel_step = pairs->channel_step;
  tiles->tile.lanes = lanes;
  tiles->tile.lanes_end = lanes + pairs->groups * EK_DSP_GROUP_LANES;
  tiles->sums = (int32_t *)(void *)(lanes + pairs->groups * EK_DSP_GROUP_LANES);
  for (int32_t pixel = 1; pixel < EK_DSP_TILE_PIXELS; pixel++) {
    tiles->tile.pixel_offsets[pixel - 1] =
        byte_of(pairs, place.pixel_channels, place.column + pixel) - first_byte;
  }
}

void ek_dsp_run_pairs(int32_t pixels, const int32_t *packed, int32_t groups, int32_t finish,
                      const ek_dsp_pointwise_tile *tile) {
  ek_dsp_registers saved;
  if (pixels == 4) {
    ek_dsp_pointwise_tile_4(&saved, packed, groups, finish, *tile);
  } else if (pixels == 3) {
    ek_dsp_pointwise_tile_3(&saved, packed, groups, finish, *tile);
  } else if (pixels == 2) {
    ek_dsp_pointwise_tile_2(&saved, packed, groups, finish, *tile);
  } else {
    ek_dsp_pointwise_tile_1(&saved, packed, groups, finish, *tile);
  }
}

/* All pairs; of the last pair of an odd number of channels, the second overwrites the dummy. */
static void run_fast(ek_dsp_tiles *tiles, int32_t pixels) {
  const ek_dsp_pairs *pairs = tiles->pairs;
  ek_dsp_pointwise_tile *tile = &tiles->tile;
  tile->output = tiles->output;
  if (tiles->single != tiles->packed) {
    tile->packed_end = tiles->single;
    ek_dsp_run_pairs(pixels, tiles->packed, pairs->groups, pairs->finish, tile);
  }
  if (tiles->packed_end != tiles->single) {
    tile->output = tiles->output + (tiles->channels - 1) * pairs->channel_step;
    tile->channel_step = 0;
    tile->packed_end = tiles->packed_end;
    ek_dsp_run_pairs(pixels, tiles->single, pairs->groups, pairs->finish, tile);
    tile->channel_step = pairs->channel_step;
  }
}

/* One channel of a tile; sums are those of a pair. */
static void store_general(const ek_dsp_tiles *tiles, const int32_t *sums, int32_t pixels,
                          const int32_t *scale, int32_t channel) {
  const ek_dsp_pairs *pairs = tiles->pairs;
  int8_t *output = tiles->output + channel * pairs->channel_step;
  for (int32_t pixel = 0; pixel < pixels; pixel++) {
    const int32_t scaled = ek_scale(sums[pixel * 2], scale[0], scale[1]);
    output[pixel == 0 ? 0 : tiles->tile.pixel_offsets[pixel - 1]] =
        (int8_t)ek_offset_clamp(scaled, pairs->output_zero_point, pairs->minimum, pairs->maximum);
  }
}

/* Pair after pair: sums, then ek_scale. */
static void run_general(ek_dsp_tiles *tiles, int32_t pixels) {
  const ek_dsp_pairs *pairs = tiles->pairs;
  const int32_t *packed = tiles->packed;
  for (int32_t channel = 0; channel < tiles->channels; channel += pairs->pair_channels) {
    const int32_t *next = packed + pairs->pair_words;
    tiles->tile.output = tiles->sums;
    tiles->tile.packed_end = next - 4;
    ek_dsp_run_pairs(pixels, packed, pairs->groups, EK_DSP_GENERAL, &tiles->tile);
    store_general(tiles, tiles->sums, pixels, next - 4, channel);
    if (pairs->pair_channels == 2) {
      const int32_t second = channel + 1 < tiles->channels ? channel + 1 : channel;
      store_general(tiles, tiles->sums + 1, pixels, next - 2, second);
    }
    packed = next;
  }
}

void ek_dsp_tiles_next(ek_dsp_tiles *tiles, int32_t pixels) {
  if (pixels == 1) {
    tiles->tile.lanes_end = tiles->tile.lanes + tiles->pairs->groups * ek_dsp_lanes_per_group(1);
  }
  if (tiles->pairs->finish == EK_DSP_GENERAL) {
    run_general(tiles, pixels);
  } else {
    run_fast(tiles, pixels);
  }
  tiles->output += tiles->tile_bytes;
}
