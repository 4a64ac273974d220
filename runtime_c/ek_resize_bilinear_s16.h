/* SPDX-License-Identifier: Apache-2.0 */
/* Bilinear resizing of an int16 map, row by row; input and output share scale and zero point. */
#ifndef EK_RESIZE_BILINEAR_S16_H
#define EK_RESIZE_BILINEAR_S16_H

#include "ek_kernel.h"

/* Columns are in 1024ths of an input pixel, inside the map: 0 <= column <= (input_width - 1) *
 * 1024. The lower row weighs row_fractions[region->row] / 1024, the upper one the rest. output =
 * sum of the four neighbours, each times its weights of both axes, / 2^20, halves away from zero.
 */
typedef struct {
  const uint16_t *row_fractions; /* [output height], below 1024 */
  const int32_t *columns;        /* [output width] */
  int32_t input_width;
  int32_t channels;
} ek_resize_bilinear_s16;

/* rows: two pointers, to the upper and the lower row [input_width][channels]; they may be equal.
 * output: [output width][channels]. No scratch. */
void ek_resize_bilinear_s16__ref(const void *layer, const void *const *rows, void *output,
                                 const ek_region *region, void *scratch);

#endif
