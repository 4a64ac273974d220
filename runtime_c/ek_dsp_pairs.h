/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a layer struct that the convolutions on packed pairs of output channels share. */
#ifndef EK_DSP_PAIRS_H
#define EK_DSP_PAIRS_H

#include <stdint.h>

/* output = clamp(scale(bias + sum(x * w)) + output_zero_point), the input zero point in the bias.
 *
 * packed: [pairs][pair_words], the words of a pair as in ek_dsp_pointwise_tile.h. A pair has two
 * output channels; of an odd number, the last pair has a dummy and the last channel. Where weights
 * or sums of two channels do not fit one lane, pair_channels is 1: every pair has a channel and a
 * dummy of zeros, and finish is EK_DSP_GENERAL. */
typedef struct {
  const int32_t *packed;
  int32_t pair_words;
  int32_t pair_channels;
  int32_t groups;            /* of 4 taps */
  int32_t finish;            /* EK_DSP_... of ek_dsp_requantize.h */
  int32_t is_planar;         /* 0: NHWC output, 1: row-planar */
  int32_t channel_step;      /* bytes between output channels: 1 (NHWC), or channel_stride */
  int32_t planar_pad_left;   /* row-planar: columns of padding before the first one */
  int32_t output_zero_point; /* this and the next two are read by EK_DSP_GENERAL alone */
  int32_t minimum;
  int32_t maximum;
} ek_dsp_pairs;

#endif
