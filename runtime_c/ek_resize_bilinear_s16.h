/* SPDX-License-Identifier: Apache-2.0 */
/* Bilinear resizing of an int16 map; input and output share scale and zero point. */
#ifndef EK_RESIZE_BILINEAR_S16_H
#define EK_RESIZE_BILINEAR_S16_H

#include "ek_kernel.h"

/* Positions are in 1024ths of an input pixel, inside the map: 0 <= position <= (size - 1) * 1024.
 * output = sum of the four neighbours, each times its weights of both axes, / 2^20, halves away
 * from zero. */
typedef struct {
  const int32_t *rows;    /* [output_height] */
  const int32_t *columns; /* [output_width] */
  int32_t input_height;
  int32_t input_width;
  int32_t output_height;
  int32_t output_width;
  int32_t channels;
} ek_resize_bilinear_s16;

/* inputs: one map [input_height][input_width][channels].
 * output: [output_height][output_width][channels]. No scratch. */
void ek_resize_bilinear_s16__ref(const void *layer, const void *const *inputs, void *output,
                                 void *scratch);

#endif
