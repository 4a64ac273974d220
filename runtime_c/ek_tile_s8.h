/* SPDX-License-Identifier: Apache-2.0 */
/* An int8 map repeated along its axes, row by row. */
#ifndef EK_TILE_S8_H
#define EK_TILE_S8_H

#include "ek_kernel.h"

/* output[x][c] = row[x mod width][c mod channels] */
typedef struct {
  int32_t width;
  int32_t channels;
  int32_t output_channels;
} ek_tile_s8;

/* rows: one pointer, to [width][channels]. output: [output width][output_channels]. No scratch. */
void ek_tile_s8__ref(const void *layer, const void *const *rows, void *output,
                     const ek_region *region, void *scratch);

#endif
