/* SPDX-License-Identifier: Apache-2.0 */
/* Resizing of an int16 map by repeating or dropping rows and columns. */
#ifndef EK_RESIZE_NEAREST_S16_H
#define EK_RESIZE_NEAREST_S16_H

#include "ek_kernel.h"

/* output[y][x] = input[rows[y]][columns[x]], all channels */
typedef struct {
  const uint16_t *rows;    /* [output_height] */
  const uint16_t *columns; /* [output_width] */
  int32_t input_width;
  int32_t output_height;
  int32_t output_width;
  int32_t channels;
} ek_resize_nearest_s16;

/* inputs: one map [input height][input_width][channels].
 * output: [output_height][output_width][channels]. No scratch. */
void ek_resize_nearest_s16__ref(const void *layer, const void *const *inputs, void *output,
                                void *scratch);

#endif
