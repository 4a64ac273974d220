/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dsp_pointwise_tile.h"
#include "ek_dsp_requantize.h"
#include "ek_pointwise_s8.h"

enum { TILE = 4, LANES_PER_GROUP = 16 };

/* The channels of a call and their packed pairs. */
typedef struct {
  int32_t channels;
  const int32_t *packed;
  const int32_t *single; /* behind the whole pairs: the pair of the last channel of an odd number */
  const int32_t *packed_end;
} channel_block;

static channel_block block_of(const ek_pointwise_s8 *layer, const ek_region *region,
                              int32_t groups) {
  static const int8_t finish_words[4] = {7, 7, 11, 5};
  const int32_t pair_words = 1 + groups * 2 + finish_words[layer->finish];
  const int32_t channels = region->channel_end - region->channel_begin;
  const int32_t *packed = layer->packed + region->channel_begin / 2 * pair_words;
  const int32_t *single = packed + channels / 2 * pair_words;
  const channel_block block = {channels, packed, single, single + (channels & 1) * pair_words};
  return block;
}

/* Byte of a column in a row-planar channel (WORD_ORDER of edgekit/layout.py). */
static int32_t planar_byte(int32_t column) {
  const int32_t within = column & 3;
  return (column & ~3) + ((within & 1) << 1) + (within >> 1);
}

/* Byte of a column of a row that holds some channels. */
static int32_t byte_of(const ek_pointwise_s8 *layer, int32_t channels, int32_t column) {
  return layer->is_planar ? planar_byte(column + layer->pad_left) : column * channels;
}

/* The last group of channels where their number is not a multiple of 4; absent ones are 0. */
static void expand_rest(const int8_t *pixels, int32_t channels, int32_t count, int16_t *lanes) {
  const int32_t rest_channels = channels & 3;
  int16_t *group = lanes + channels / 4 * LANES_PER_GROUP;
  for (int32_t pixel = 0; pixel < count; pixel++) {
    const int8_t *rest = pixels + pixel * channels + (channels - rest_channels);
    group[pixel * 2] = rest[0];
    group[pixel * 2 + 1] = rest_channels > 2 ? rest[2] : 0;
    group[pixel * 2 + 8] = rest_channels > 1 ? rest[1] : 0;
    group[pixel * 2 + 9] = 0;
  }
}

static void run_pairs(int32_t pixels, const int32_t *packed, int32_t groups, int32_t finish,
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
static void run_fast(const ek_pointwise_s8 *layer, const channel_block *block, int32_t pixels,
                     int32_t groups, ek_dsp_pointwise_tile *tile) {
  if (block->single != block->packed) {
    tile->packed_end = block->single;
    run_pairs(pixels, block->packed, groups, layer->finish, tile);
  }
  if (block->packed_end != block->single) {
    tile->output = (int8_t *)tile->output + (block->channels - 1) * layer->channel_step;
    tile->channel_step = 0;
    tile->packed_end = block->packed_end;
    run_pairs(pixels, block->single, groups, layer->finish, tile);
    tile->channel_step = layer->channel_step;
  }
}

/* One channel of a tile; sums are those of a pair. */
static void store_general(const ek_pointwise_s8 *layer, const int32_t *sums, int32_t pixels,
                          const int32_t *scale, const int32_t *offsets, int8_t *output) {
  const int32_t zero_point = layer->output_zero_point;
  for (int32_t pixel = 0; pixel < pixels; pixel++) {
    const int32_t scaled = ek_scale(sums[pixel * 2], scale[0], scale[1]);
    const int32_t clamped =
        ek_clamp(scaled, layer->minimum - zero_point, layer->maximum - zero_point);
    output[pixel == 0 ? 0 : offsets[pixel - 1]] = (int8_t)(clamped + zero_point);
  }
}

/* Pair after pair: sums, which go behind the lanes, then ek_scale. */
static void run_general(const ek_pointwise_s8 *layer, const channel_block *block, int32_t pixels,
                        int32_t groups, int32_t *sums, ek_dsp_pointwise_tile *tile) {
  const int32_t *packed = block->packed;
  int8_t *output = (int8_t *)tile->output;
  for (int32_t channel = 0; channel < block->channels; channel += 2) {
    const int32_t second = channel + 1 < block->channels ? channel + 1 : channel;
    tile->output = sums;
    tile->packed_end = packed + 2 + groups * 2;
    run_pairs(pixels, packed, groups, EK_DSP_GENERAL, tile);
    packed = tile->packed_end + 4;
    store_general(layer, sums, pixels, packed - 4, tile->pixel_offsets,
                  output + channel * layer->channel_step);
    store_general(layer, sums + 1, pixels, packed - 2, tile->pixel_offsets,
                  output + second * layer->channel_step);
  }
}

void ek_pointwise_s8__dsp_4x2(const void *layer_, const void *const *rows, void *output,
                              const ek_region *region, void *scratch) {
  const ek_pointwise_s8 *layer = (const ek_pointwise_s8 *)layer_;
  const int32_t channels = layer->input_channels;
  const int32_t groups = (channels + 3) / 4;
  const int8_t *pixels = (const int8_t *)rows[0] + region->column_begin * channels;
  int16_t *lanes = (int16_t *)scratch;
  int32_t *sums = (int32_t *)scratch + groups * (LANES_PER_GROUP / 2);
  const channel_block block = block_of(layer, region, groups);
  const int32_t first_byte = byte_of(layer, block.channels, region->column_begin);
  const int32_t tile_bytes = layer->is_planar ? (int32_t)TILE : TILE * block.channels;
  int8_t *tile_output = (int8_t *)output + first_byte;
  ek_dsp_pointwise_tile tile;
  tile.channel_step = layer->channel_step;
  tile.lanes = lanes;
  tile.lanes_end = lanes + groups * LANES_PER_GROUP;
  for (int32_t pixel = 1; pixel < TILE; pixel++) {
    tile.pixel_offsets[pixel - 1] =
        byte_of(layer, block.channels, region->column_begin + pixel) - first_byte;
  }
  for (int32_t left = region->column_end - region->column_begin; left > 0; left -= TILE) {
    const int32_t count = left < TILE ? left : (int32_t)TILE;
    ek_dsp_expand(pixels, channels, channels / 4, count, lanes);
    if ((channels & 3) != 0) {
      expand_rest(pixels, channels, count, lanes);
    }
    tile.output = tile_output;
    if (layer->finish == EK_DSP_GENERAL) {
      run_general(layer, &block, count, groups, sums, &tile);
    } else {
      run_fast(layer, &block, count, groups, &tile);
    }
    pixels += TILE * channels;
    tile_output += tile_bytes;
  }
}
