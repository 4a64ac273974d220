/* SPDX-License-Identifier: Apache-2.0 */
/* 2-D convolution of int8 NHWC rows with weights interleaved for the Helium instructions. */
#ifndef EK_CONV2D_S8_INTERLEAVED_H
#define EK_CONV2D_S8_INTERLEAVED_H

#include "ek_kernel.h"

/* output = clamp(scale(bias + sum(x * w)) + output_zero_point), the input zero point in the bias.
 *
 * weights, parameters: as ek_mve_dot.h has them, group after group, the channels of each rounded
 * up to 4; the inputs are [kernel_height][kernel_width][channels of the group].
 * minimum, maximum: less output_zero_point. */
typedef struct {
  const int8_t *weights;
  const int32_t *parameters;
  int32_t minimum;
  int32_t maximum;
  int32_t output_zero_point;
  int32_t is_general; /* 1: some shift is >= 0 */
  int32_t input_zero_point;
  int32_t input_width;
  int32_t input_channels;
  int32_t output_channels;
  int32_t groups;
  int32_t kernel_height;
  int32_t kernel_width;
  int32_t stride_width;
  int32_t dilation_width;
  int32_t pad_left;
} ek_conv2d_s8_interleaved;

/* rows: kernel_height pointers to [input_width][input_channels], NULL for padding.
 * output: [output width][channels of the block]: all output channels, or where groups is 1 a block
 *         of them that begins at a multiple of 4.
 * scratch: the windows of 3 pixels of one group, each rounded up to 16 bytes. */
void ek_conv2d_s8_interleaved__mve_3x2(const void *layer, const void *const *rows, void *output,
                                       const ek_region *region, void *scratch);

#endif
