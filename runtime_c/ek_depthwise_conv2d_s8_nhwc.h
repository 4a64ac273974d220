/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution of int8 NHWC rows with weights packed for the DSP instructions. */
#ifndef EK_DEPTHWISE_CONV2D_S8_NHWC_H
#define EK_DEPTHWISE_CONV2D_S8_NHWC_H

#include "ek_kernel.h"

/* output[c * channel_multiplier + m] =
 *   clamp(scale(bias + sum(x[c] * w)) + output_zero_point), the input zero point in the bias.
 *
 * packed: groups of 4 output channels, as in ek_dsp_depthwise_taps.h. channel_multiplier 1: every 4
 * channels, then the others one by one; else [(channel_multiplier + 3) / 4][input_channels], each
 * of the outputs of one input channel. */
typedef struct {
  const int32_t *packed;
  const int8_t *zero_points; /* [input_channels], of the input */
  int32_t input_width;
  int32_t input_channels;
  int32_t channel_multiplier;
  int32_t kernel_height;
  int32_t kernel_width;
  int32_t stride_width;
  int32_t dilation_width;
  int32_t pad_left;
  int32_t finish; /* EK_DSP_... of ek_dsp_requantize.h */
  int32_t raise;  /* this and the next one are read by EK_DSP_CLAMPED alone */
  int32_t lower;
  int32_t output_zero_point; /* this and the next two are read by EK_DSP_GENERAL alone */
  int32_t minimum;
  int32_t maximum;
} ek_depthwise_conv2d_s8_nhwc;

/* rows: kernel_height pointers to [input_width][input channels of the block]; padding rows hold the
 *       zero point. The block is all channels, or, where channel_multiplier is 1, some of them that
 *       begin at a multiple of 4 and end at one or behind the last channel.
 * output: [output width][output channels], of which those of the block are written.
 * scratch: 8 bytes per tap and 4 bytes; EK_DSP_GENERAL: also 16 bytes per group of a run
 *          (edgekit/ops/_dsp_depthwise_nhwc.py).
 * Needs unaligned word loads and stores (CCR.UNALIGN_TRP = 0, as after reset). */
void ek_depthwise_conv2d_s8_nhwc__dsp_1x4(const void *layer, const void *const *rows, void *output,
                                          const ek_region *region, void *scratch);

#endif
