/* SPDX-License-Identifier: Apache-2.0 */
/* Channels of an int8 map become blocks of pixels, row by row. */
#ifndef EK_DEPTH_TO_SPACE_S8_H
#define EK_DEPTH_TO_SPACE_S8_H

#include "ek_kernel.h"

/* With i = region->row mod block:
 * output[x * block + j][c] = row[x][(i * block + j) * place_stride + c * channel_stride] */
typedef struct {
  int32_t block;
  int32_t channels; /* of the output; the input has block * block as many */
  int32_t place_stride;
  int32_t channel_stride;
} ek_depth_to_space_s8;

/* rows: one pointer, to [input width][block * block * channels].
 * output: [input width * block][channels]. No scratch. */
void ek_depth_to_space_s8__ref(const void *layer, const void *const *rows, void *output,
                               const ek_region *region, void *scratch);
void ek_depth_to_space_s8__c(const void *layer, const void *const *rows, void *output,
                             const ek_region *region, void *scratch);

#endif
