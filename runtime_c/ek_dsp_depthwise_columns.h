/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution of row-planar rows, column by column: what the fast loops leave over. */
#ifndef EK_DSP_DEPTHWISE_COLUMNS_H
#define EK_DSP_DEPTHWISE_COLUMNS_H

#include "ek_depthwise_conv2d_s8_row_planar.h"
#include "ek_dsp_requantize.h"

/* As the kernels of ek_depthwise_conv2d_s8_row_planar.h with kernel x kernel taps, any finish;
 * kernel odd, stride 1 or 2. */
void ek_dsp_depthwise_columns(const ek_depthwise_conv2d_s8_row_planar *layer,
                              const void *const *rows, int8_t *output, const ek_region *region,
                              int32_t kernel, int32_t stride);

/* Computes the columns that do not begin at a word of the input, and all where the finish is
 * EK_DSP_GENERAL; the first column that is left. */
static inline int32_t ek_dsp_depthwise_first_columns(const ek_depthwise_conv2d_s8_row_planar *layer,
                                                     const void *const *rows, int8_t *output,
                                                     const ek_region *region, int32_t kernel,
                                                     int32_t stride) {
  int32_t first = layer->finish == EK_DSP_GENERAL ? region->column_end : region->column_begin;
  while (first < region->column_end && first * stride % 4 != 0) {
    first++;
  }
  if (first > region->column_begin) {
    ek_region head = *region;
    head.column_end = first;
    ek_dsp_depthwise_columns(layer, rows, output, &head, kernel, stride);
  }
  return first;
}

#endif
