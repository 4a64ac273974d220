/* SPDX-License-Identifier: Apache-2.0 */
/* An int8 tensor repeated along its axes. */
#ifndef EK_TILE_S8_H
#define EK_TILE_S8_H

#include "ek_kernel.h"

/* output[y][x][c] = input[y mod height][x mod width][c mod channels] */
typedef struct {
  int32_t height;
  int32_t width;
  int32_t channels;
  int32_t output_height;
  int32_t output_width;
  int32_t output_channels;
} ek_tile_s8;

/* inputs: one pointer, to [height][width][channels].
 * output: [output_height][output_width][output_channels]. No scratch. */
void ek_tile_s8__ref(const void *layer, const void *const *inputs, void *output, void *scratch);

#endif
