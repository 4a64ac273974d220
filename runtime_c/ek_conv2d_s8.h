/* SPDX-License-Identifier: Apache-2.0 */
/* 2-D convolution of int8 NHWC rows, per-channel weights. */
#ifndef EK_CONV2D_S8_H
#define EK_CONV2D_S8_H

#include "ek_kernel.h"

/* output = clamp(scale(bias + sum((x - input_zero_point) * w)) + output_zero_point) */
typedef struct {
  const int8_t
      *weights;        /* [output_channels][kernel_height][kernel_width][input_channels / groups] */
  const int32_t *bias; /* [output_channels] */
  const int32_t *multipliers; /* [output_channels], in [0, 2^31) */
  const int8_t *shifts;       /* [output_channels], -31 to 30, > 0 is to the left */
  int32_t input_zero_point;
  int32_t output_zero_point;
  int32_t minimum;
  int32_t maximum;
  int32_t input_width;
  int32_t input_channels;
  int32_t output_channels;
  int32_t groups;
  int32_t kernel_height;
  int32_t kernel_width;
  int32_t stride_width;
  int32_t dilation_width;
  int32_t pad_left;
} ek_conv2d_s8;

/* rows: kernel_height pointers to [input_width][input_channels], NULL for padding.
 * output: [output width][channels of the block]: all output channels, or a block of them where
 *         groups is 1. No scratch. */
void ek_conv2d_s8__ref(const void *layer, const void *const *rows, void *output,
                       const ek_region *region, void *scratch);

#endif
