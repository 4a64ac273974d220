/* SPDX-License-Identifier: Apache-2.0 */
/* Sums that are computed in parts of their taps: a part of layer structs. */
#ifndef EK_DSP_PARTS_H
#define EK_DSP_PARTS_H

#include <stdint.h>

/* output = clamp(scale(bias + sum(x * w)) + output_zero_point), the input zero point in the bias.
 *
 * packed: [parts][pairs][2 + 2 * groups]: words of ek_dsp_pointwise_tile.h for EK_DSP_GENERAL, bias
 * 1 the last one; biases are 0 but in the first part. A pair has pair_channels output channels, 2
 * or 1 (as in ek_dsp_pairs.h), and then dummies of zeros. */
typedef struct {
  const int32_t *packed;
  const int32_t *scales; /* [output channels][3]: multiplier, offset, exponent of
                            ek_dsp_requantize.h; EK_DSP_GENERAL: multiplier, shift, 0 */
  int32_t groups;        /* of 4 taps in a part */
  int32_t pairs;
  int32_t pair_channels;
  int32_t finish; /* EK_DSP_... */
  int32_t raise;  /* this and the next are read by EK_DSP_CLAMPED alone */
  int32_t lower;
  int32_t output_zero_point; /* this and the next two are read by EK_DSP_GENERAL alone */
  int32_t minimum;
  int32_t maximum;
} ek_dsp_parts;

#endif
