/* SPDX-License-Identifier: Apache-2.0 */
/* Average pooling of int8 NHWC rows; input and output share scale and zero point. */
#ifndef EK_AVERAGE_POOL2D_S8_H
#define EK_AVERAGE_POOL2D_S8_H

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
} ek_average_pool2d_s8;

/* rows: kernel_height pointers to [input_width][channels of the block], NULL for padding.
 * output: [output width][channels], of which those of the block are written. No scratch.
 * __c averages at most 180 taps. */
void ek_average_pool2d_s8__ref(const void *layer, const void *const *rows, void *output,
                               const ek_region *region, void *scratch);
void ek_average_pool2d_s8__c(const void *layer, const void *const *rows, void *output,
                             const ek_region *region, void *scratch);

/* Accumulates (ek_kernel.h) over kernel_height input rows, which are all rows of the map; nothing
 * is padded. rows: one pointer, to [input_width][channels]. output: as above, one row, all of it.
 * scratch: int32_t [output width][channels]. */
void ek_average_pool2d_s8__ref_accumulating(const void *layer, const void *const *rows,
                                            void *output, const ek_region *region, void *scratch);
void ek_average_pool2d_s8__c_accumulating(const void *layer, const void *const *rows, void *output,
                                          const ek_region *region, void *scratch);

#endif
