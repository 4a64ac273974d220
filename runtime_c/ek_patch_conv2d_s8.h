/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution of int8 NHWC rows in portable C: the taps of two pixels are gathered, then two
 * channels at a time are dot products with them. */
#ifndef EK_PATCH_CONV2D_S8_H
#define EK_PATCH_CONV2D_S8_H

#include "ek_kernel.h"

/* weights to lower: as in ek_dot_channels.h, the taps of a channel being
 * [kernel_height][kernel_width][input_channels / groups]. */
typedef struct {
  const int8_t *weights;
  const int32_t *parameters;
  int32_t finish;
  int32_t raise;
  int32_t lower;
  int32_t input_width;
  int32_t input_channels;
  int32_t input_zero_point;
  int32_t output_channels;
  int32_t groups;
  int32_t kernel_height;
  int32_t kernel_width;
  int32_t stride_width;
  int32_t dilation_width;
  int32_t pad_left;
} ek_patch_conv2d_s8;

/* rows: kernel_height pointers to [input_width][input_channels], NULL for padding.
 * output: [output width][channels of the block]: all output channels, or a block of them where
 *         groups is 1.
 * scratch: the taps of two channels, in bytes. */
void ek_patch_conv2d_s8__c(const void *layer, const void *const *rows, void *output,
                           const ek_region *region, void *scratch);

#endif
