/* SPDX-License-Identifier: Apache-2.0 */
/* Average pooling of int16 NHWC rows; input and output share scale and zero point. */
#ifndef EK_AVERAGE_POOL2D_S16_H
#define EK_AVERAGE_POOL2D_S16_H

#include "ek_kernel.h"

/* output = clamp(sum of the taps / number of taps), halves away from zero. Every window has a tap
 * inside the map. */
typedef struct {
  int32_t input_width;
  int32_t channels;
  int32_t kernel_height;
  int32_t kernel_width;
  int32_t stride_width;
  int32_t dilation_width;
  int32_t pad_left;
  int32_t minimum;
  int32_t maximum;
  int32_t count_padding; /* 1: all taps count, padding as zero_point; 0: only taps inside the map */
  int32_t zero_point;
} ek_average_pool2d_s16;

/* rows: kernel_height pointers to [input_width][channels], NULL for padding.
 * output: [output width][channels]. No scratch. */
void ek_average_pool2d_s16__ref(const void *layer, const void *const *rows, void *output,
                                const ek_region *region, void *scratch);

/* Accumulates (ek_kernel.h) over kernel_height input rows, which are all rows of the map; nothing
 * is padded. rows: one pointer, to [input_width][channels]. output: as above, one row, all of it.
 * scratch: int32_t [output width][channels]. */
void ek_average_pool2d_s16__ref_accumulating(const void *layer, const void *const *rows,
                                             void *output, const ek_region *region, void *scratch);

#endif
