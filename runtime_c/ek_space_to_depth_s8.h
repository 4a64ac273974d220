/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of pixels of int8 NHWC rows become channels. */
#ifndef EK_SPACE_TO_DEPTH_S8_H
#define EK_SPACE_TO_DEPTH_S8_H

#include "ek_kernel.h"

/* output[y][x][(i * block + j) * place_stride + c * channel_stride] =
 *   input[y * block + i][x * block + j][c] */
typedef struct {
  int32_t block;
  int32_t channels; /* of the input; the output has block * block as many */
  int32_t place_stride;
  int32_t channel_stride;
} ek_space_to_depth_s8;

/* rows: block pointers to [output width * block][channels]; never NULL.
 * output: [output width][block * block * channels]. No scratch. */
void ek_space_to_depth_s8__ref(const void *layer, const void *const *rows, void *output,
                               const ek_region *region, void *scratch);
void ek_space_to_depth_s8__c(const void *layer, const void *const *rows, void *output,
                             const ek_region *region, void *scratch);

#endif
