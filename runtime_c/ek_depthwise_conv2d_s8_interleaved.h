/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise 2-D convolution of int8 NHWC rows with weights interleaved for the Helium instructions.
 */
#ifndef EK_DEPTHWISE_CONV2D_S8_INTERLEAVED_H
#define EK_DEPTHWISE_CONV2D_S8_INTERLEAVED_H

#include "ek_kernel.h"

enum { EK_MVE_DEPTHWISE_TAPS = 65 }; /* 1 + 4 * quads at most */

/* output = clamp(scale(bias + sum(x * w)) + output_zero_point), the input zero point in the bias.
 * weights, parameters: as ek_mve_depthwise.h has them; taps of weight 0 fill up the last quad. */
typedef struct {
  const int8_t *weights;
  const int32_t *parameters;
  int32_t quads; /* 1 + 4 * quads taps */
  int32_t minimum;
  int32_t maximum;
  int32_t output_zero_point;
  int32_t input_zero_point;
  int32_t input_width;
  int32_t channels;
  int32_t kernel_height;
  int32_t kernel_width;
  int32_t stride_width;
  int32_t dilation_width;
  int32_t pad_left;
  int32_t inside_begin; /* output columns none of whose taps leaves the width of the map: */
  int32_t inside_end;   /* [inside_begin, inside_end) */
} ek_depthwise_conv2d_s8_interleaved;

/* rows: kernel_height pointers to [input_width][channels of the block], NULL for padding. A block
 *       begins at a multiple of 16 channels.
 * output: [output width][channels], of which those of the block are written.
 * scratch: a byte for each channel. */
void ek_depthwise_conv2d_s8_interleaved__mve(const void *layer, const void *const *rows,
                                             void *output, const ek_region *region, void *scratch);

#endif
