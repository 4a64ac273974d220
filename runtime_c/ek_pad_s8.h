/* SPDX-License-Identifier: Apache-2.0 */
/* A constant border around the rows, columns and channels of an int8 map. */
#ifndef EK_PAD_S8_H
#define EK_PAD_S8_H

#include "ek_kernel.h"

/* output[y][x][c] = input[y - rows_before][x - columns_before][c - channels_before], or value
 * outside */
typedef struct {
  int32_t input_height;
  int32_t input_width;
  int32_t input_channels;
  int32_t output_height;
  int32_t output_width;
  int32_t output_channels;
  int32_t rows_before;
  int32_t columns_before;
  int32_t channels_before;
  int32_t value; /* int8 */
} ek_pad_s8;

/* inputs: one map [input_height][input_width][input_channels].
 * output: [output_height][output_width][output_channels]. No scratch. */
void ek_pad_s8__ref(const void *layer, const void *const *inputs, void *output, void *scratch);

#endif
