/* SPDX-License-Identifier: Apache-2.0 */
/* The last block of input channels of a 1 x 1 convolution, which completes the output. */
#ifndef EK_BLOCK_CONV2D_S8_H
#define EK_BLOCK_CONV2D_S8_H

#include "ek_kernel.h"

/* output = clamp(scale(sums + sum(x * w) + bias) + output_zero_point) */
typedef struct {
  const int8_t *weights; /* [output_channels][input_channels] */
  int32_t input_channels;
  int32_t output_channels;
  const int32_t *bias;        /* [output_channels], less what the input's zero point adds */
  const int32_t *multipliers; /* [output_channels], in [0, 2^31) */
  const int8_t *shifts;       /* [output_channels], -31 to 30, > 0 is to the left */
  int32_t output_zero_point;
  int32_t minimum;
  int32_t maximum;
} ek_block_conv2d_s8;

/* rows: [width][input_channels] of int8, and [width][output_channels] of int32.
 * output: [width][output_channels] of int8. scratch: 4 * output_channels bytes: a pixel is complete
 * before it is written. */
void ek_block_conv2d_s8__ref(const void *layer, const void *const *rows, void *output,
                             const ek_region *region, void *scratch);

#endif
