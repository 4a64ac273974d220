/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise 2-D convolution of int8 NHWC rows, per-channel weights. */
#ifndef EK_DEPTHWISE_CONV2D_S8_H
#define EK_DEPTHWISE_CONV2D_S8_H

#include "ek_kernel.h"

/* output[c * channel_multiplier + m] =
 *   clamp(scale(bias + sum((x[c] - input_zero_point) * w)) + output_zero_point)
 * There are input_channels * channel_multiplier output channels. */
typedef struct {
  const int8_t *weights;      /* [kernel_height][kernel_width][output channels] */
  const int32_t *bias;        /* [output channels] */
  const int32_t *multipliers; /* [output channels], in [0, 2^31) */
  const int8_t *shifts;       /* [output channels], -31 to 30, > 0 is to the left */
  int32_t input_zero_point;
  int32_t output_zero_point;
  int32_t minimum;
  int32_t maximum;
  int32_t input_width;
  int32_t input_channels;
  int32_t channel_multiplier;
  int32_t kernel_height;
  int32_t kernel_width;
  int32_t stride_width;
  int32_t dilation_width;
  int32_t pad_left;
} ek_depthwise_conv2d_s8;

/* rows: kernel_height pointers to [input_width][input channels of the block], NULL for padding; the
 *       block is all channels, or some of them where channel_multiplier is 1.
 * output: [output width][output channels], of which those of the block are written. No scratch. */
void ek_depthwise_conv2d_s8__ref(const void *layer, const void *const *rows, void *output,
                                 const ek_region *region, void *scratch);

#endif
