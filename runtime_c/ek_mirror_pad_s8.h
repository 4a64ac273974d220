/* SPDX-License-Identifier: Apache-2.0 */
/* A border that repeats elements of an int8 map: mirrored, the edge again, or the other side. */
#ifndef EK_MIRROR_PAD_S8_H
#define EK_MIRROR_PAD_S8_H

#include "ek_kernel.h"

/* output[y][x][c] = input[rows[y]][columns[x]][channels[c]] */
typedef struct {
  const uint16_t *rows;     /* [output_height] */
  const uint16_t *columns;  /* [output_width] */
  const uint16_t *channels; /* [output_channels] */
  int32_t input_width;
  int32_t input_channels;
  int32_t output_height;
  int32_t output_width;
  int32_t output_channels;
} ek_mirror_pad_s8;

/* inputs: one map [input height][input_width][input_channels].
 * output: [output_height][output_width][output_channels]. No scratch. */
void ek_mirror_pad_s8__ref(const void *layer, const void *const *inputs, void *output,
                           void *scratch);

#endif
