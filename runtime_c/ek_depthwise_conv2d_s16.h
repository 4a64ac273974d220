/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise 2-D convolution of int16 NHWC rows, per-channel int8 weights. */
#ifndef EK_DEPTHWISE_CONV2D_S16_H
#define EK_DEPTHWISE_CONV2D_S16_H

#include "ek_kernel.h"

/* output[c * channel_multiplier + m] =
 *   clamp(scale(bias + sum(x[c] * w)))
 * There are input_channels * channel_multiplier output channels. */
typedef struct {
  const int8_t *weights;      /* [kernel_height][kernel_width][output channels] */
  const int64_t *bias;        /* [output channels] */
  const int32_t *multipliers; /* [output channels], in [0, 2^31) */
  const int8_t *shifts;       /* [output channels], -31 to 7, > 0 is to the left */
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
} ek_depthwise_conv2d_s16;

/* rows: kernel_height pointers to [input_width][input_channels], NULL for padding.
 * output: [output width][output channels]. No scratch. */
void ek_depthwise_conv2d_s16__ref(const void *layer, const void *const *rows, void *output,
                                  const ek_region *region, void *scratch);

#endif
