/* SPDX-License-Identifier: Apache-2.0 */
/* Max pooling of int8 NHWC rows; input and output share scale and zero point. */
#ifndef EK_MAX_POOL2D_S8_H
#define EK_MAX_POOL2D_S8_H

#include "ek_kernel.h"

/* output = clamp(largest tap inside the map). Every window has a tap inside the map. */
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
} ek_max_pool2d_s8;

/* rows: kernel_height pointers to [input_width][channels of the block], NULL for padding.
 * output: [output width][channels], of which those of the block are written. No scratch. */
void ek_max_pool2d_s8__ref(const void *layer, const void *const *rows, void *output,
                           const ek_region *region, void *scratch);
void ek_max_pool2d_s8__c(const void *layer, const void *const *rows, void *output,
                         const ek_region *region, void *scratch);

/* Accumulates (ek_kernel.h) over kernel_height input rows, which are all rows of the map; nothing
 * is padded. rows: one pointer, to [input_width][channels]. output: as above, one row, all of it.
 * scratch: int8_t [output width][channels]. */
void ek_max_pool2d_s8__ref_accumulating(const void *layer, const void *const *rows, void *output,
                                        const ek_region *region, void *scratch);
void ek_max_pool2d_s8__c_accumulating(const void *layer, const void *const *rows, void *output,
                                      const ek_region *region, void *scratch);

#endif
