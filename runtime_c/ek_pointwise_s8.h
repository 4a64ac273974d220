/* SPDX-License-Identifier: Apache-2.0 */
/* 1x1 convolution of int8 NHWC rows with weights packed for the DSP instructions. */
#ifndef EK_POINTWISE_S8_H
#define EK_POINTWISE_S8_H

#include "ek_kernel.h"

/* output = clamp(scale(bias + sum(x * w)) + output_zero_point), the input zero point in the bias.
 *
 * packed: output channels in pairs, [words] of ek_dsp_pointwise_tile.h; the second channel of the
 * last pair is the last one, its first channel is a dummy when output_channels is odd. */
typedef struct {
  const int32_t *packed;
  int32_t input_channels;
  int32_t output_channels;
  int32_t is_planar;         /* 0: NHWC output, 1: row-planar */
  int32_t channel_step;      /* bytes between output channels: 1 (NHWC), or channel_stride */
  int32_t pad_left;          /* row-planar: columns of padding before the first one */
  int32_t finish;            /* EK_DSP_... of ek_dsp_requantize.h */
  int32_t output_zero_point; /* this and the next two are read by EK_DSP_GENERAL alone */
  int32_t minimum;
  int32_t maximum;
} ek_pointwise_s8;

/* rows: one pointer to [region->column_end][input_channels]; nothing behind that is read.
 * output: NHWC [region->column_end][channels of the block], or row-planar
 *         [channels of the block][channel_step] (edgekit/layout.py); padding is not written.
 * A block begins at an even channel and ends at an even one or behind the last.
 * scratch: 8 bytes per input channel, rounded up to 4 channels; EK_DSP_GENERAL: 32 bytes more.
 * Writes the pixels of a tile of 4 after it has read them; in row-planar form all over the row.
 * Needs unaligned word loads (CCR.UNALIGN_TRP = 0, as after reset). */
void ek_pointwise_s8__dsp_4x2(const void *layer, const void *const *rows, void *output,
                              const ek_region *region, void *scratch);

#endif
