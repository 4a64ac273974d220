/* SPDX-License-Identifier: Apache-2.0 */
/* Transposed 2-D convolution of int16 NHWC rows, per-channel int8 weights. */
#ifndef EK_TRANSPOSED_CONV2D_S16_H
#define EK_TRANSPOSED_CONV2D_S16_H

#include "ek_kernel.h"

/* output = clamp(scale(bias + sum(x * w)))
 * Tap k of output column o lies at position o - pad_left + k * dilation_width; input column i at
 * position i * upsampling_width. The taps of the weights are in this order: reversed. */
typedef struct {
  const int8_t
      *weights;        /* [output_channels][kernel_height][kernel_width][input_channels / groups] */
  const int64_t *bias; /* [output_channels] */
  const int32_t *multipliers; /* [output_channels], in [0, 2^31) */
  const int8_t *shifts;       /* [output_channels], -31 to 7, > 0 is to the left */
  int32_t minimum;
  int32_t maximum;
  int32_t input_width;
  int32_t input_channels;
  int32_t output_channels;
  int32_t groups;
  int32_t kernel_height;
  int32_t kernel_width;
  int32_t upsampling_width;
  int32_t dilation_width;
  int32_t pad_left;
} ek_transposed_conv2d_s16;

/* rows: kernel_height pointers to [input_width][input_channels], NULL for padding and for positions
 * between two rows.
 * output: [output width][output_channels]. No scratch. */
void ek_transposed_conv2d_s16__ref(const void *layer, const void *const *rows, void *output,
                                   const ek_region *region, void *scratch);

/* The same with sums that wrap to 32 bits and are scaled as those of int8 layers; the bias fits 32
 * bits, shifts are -31 to 30. */
void ek_transposed_conv2d_s16__ref_narrow(const void *layer, const void *const *rows, void *output,
                                          const ek_region *region, void *scratch);

#endif
