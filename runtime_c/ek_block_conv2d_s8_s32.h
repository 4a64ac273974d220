/* SPDX-License-Identifier: Apache-2.0 */
/* The sums of a 1 x 1 convolution over a block of its input channels. */
#ifndef EK_BLOCK_CONV2D_S8_S32_H
#define EK_BLOCK_CONV2D_S8_S32_H

#include "ek_kernel.h"

/* output = sums + sum(x * w), modulo 2^32 */
typedef struct {
  const int8_t *weights; /* [output_channels][input_channels] */
  int32_t input_channels;
  int32_t output_channels;
  int32_t adds; /* 0: there are no sums yet */
} ek_block_conv2d_s8_s32;

/* rows: [width][input_channels] of int8, and where it adds [width][output_channels] of int32.
 * output: [width][output_channels] of int32. scratch: 4 * output_channels bytes: a pixel is
 * complete before it is written. */
void ek_block_conv2d_s8_s32__ref(const void *layer, const void *const *rows, void *output,
                                 const ek_region *region, void *scratch);

#endif
