/* SPDX-License-Identifier: Apache-2.0 */
/* Output columns of a row in tiles of 4 pixels: all channels of a tile from its lanes. */
#ifndef EK_DSP_TILES_H
#define EK_DSP_TILES_H

#include "ek_dsp_pairs.h"
#include "ek_dsp_pointwise_tile.h"

enum { EK_DSP_TILE_PIXELS = 4, EK_DSP_GROUP_LANES = 16, EK_DSP_SUMS = 8 };

/* Where a call stores, and what of the layer it computes. */
typedef struct {
  int32_t channels;       /* computed */
  int32_t pixel_channels; /* of an NHWC pixel of the output */
  int32_t column;         /* of the first pixel */
} ek_dsp_tiles_place;

typedef struct {
  const ek_dsp_pairs *pairs;
  const int32_t *packed;
  const int32_t *single; /* behind the whole pairs: the pair of the last channel of an odd number */
  const int32_t *packed_end;
  int32_t channels;
  int8_t *output;     /* of the next tile */
  int32_t tile_bytes; /* from one tile's output to the next */
  int32_t *sums;      /* of one pair */
  ek_dsp_expansion expansion;
  ek_dsp_pointwise_tile tile;
} ek_dsp_tiles;

/* packed: the pair of the first channel. output: that channel of column 0.
 * lanes: [pairs->groups * EK_DSP_GROUP_LANES]; EK_DSP_GENERAL: EK_DSP_SUMS int32_t behind. */
void ek_dsp_tiles_begin(ek_dsp_tiles *tiles, const ek_dsp_pairs *pairs,
                        const ek_dsp_windows *windows, const int32_t *packed,
                        ek_dsp_tiles_place place, void *output, int16_t *lanes);

/* Expands segments of the windows of 1 to 4 pixels. Returns the place behind the lanes. */
static inline int16_t *ek_dsp_expand(const ek_dsp_expansion *expansion,
                                     const int8_t *const *segments, int32_t count, int32_t pixels,
                                     int16_t *lanes) {
  ek_dsp_registers saved;
  if (pixels == EK_DSP_TILE_PIXELS) {
    return ek_dsp_expand_4(&saved, segments, segments + count, lanes, *expansion);
  }
  return ek_dsp_expand_few(segments, segments + count, lanes, &expansion->windows, pixels);
}

/* ek_dsp_pointwise_tile_1 to _4. */
void ek_dsp_run_pairs(int32_t pixels, const int32_t *packed, int32_t groups, int32_t finish,
                      const ek_dsp_pointwise_tile *tile);

/* The next tile of 1 to 4 pixels from its lanes; only the last one has fewer than 4. */
void ek_dsp_tiles_next(ek_dsp_tiles *tiles, int32_t pixels);

#endif
