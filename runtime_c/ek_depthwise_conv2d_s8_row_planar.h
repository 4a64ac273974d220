/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution of int8 row-planar rows, one output channel per input channel. */
#ifndef EK_DEPTHWISE_CONV2D_S8_ROW_PLANAR_H
#define EK_DEPTHWISE_CONV2D_S8_ROW_PLANAR_H

#include "ek_kernel.h"

/* output = clamp(scale(bias + sum(x * w)) + output_zero_point), the input zero point in the bias.
 *
 * packed: [channels][words] of ek_dsp_depthwise_row.h. */
typedef struct {
  const int32_t *packed;
  int32_t channels;
  int32_t channel_stride;    /* bytes of an input channel in a row, a multiple of 4 */
  int32_t finish;            /* EK_DSP_... of ek_dsp_requantize.h */
  int32_t output_zero_point; /* this and the next two are read by EK_DSP_GENERAL alone */
  int32_t minimum;
  int32_t maximum;
} ek_depthwise_conv2d_s8_row_planar;

/* k x k taps, stride 1 and 2 along the width.
 *
 * rows: k pointers to row-planar rows [channels of the block][channel_stride], 4-byte aligned
 *       (edgekit/layout.py), whose left padding is the window's; padding rows hold the zero point.
 * output: NHWC [output width][channels], of which those of the block are written: one or more.
 * No scratch. */
void ek_depthwise_conv2d_s8_row_planar__dsp_3x3s1(const void *layer, const void *const *rows,
                                                  void *output, const ek_region *region,
                                                  void *scratch);
void ek_depthwise_conv2d_s8_row_planar__dsp_3x3s2(const void *layer, const void *const *rows,
                                                  void *output, const ek_region *region,
                                                  void *scratch);
void ek_depthwise_conv2d_s8_row_planar__dsp_5x5s1(const void *layer, const void *const *rows,
                                                  void *output, const ek_region *region,
                                                  void *scratch);
void ek_depthwise_conv2d_s8_row_planar__dsp_5x5s2(const void *layer, const void *const *rows,
                                                  void *output, const ek_region *region,
                                                  void *scratch);
void ek_depthwise_conv2d_s8_row_planar__dsp_7x7s1(const void *layer, const void *const *rows,
                                                  void *output, const ek_region *region,
                                                  void *scratch);
void ek_depthwise_conv2d_s8_row_planar__dsp_7x7s2(const void *layer, const void *const *rows,
                                                  void *output, const ek_region *region,
                                                  void *scratch);

#endif
