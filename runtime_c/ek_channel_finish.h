/* SPDX-License-Identifier: Apache-2.0 */
/* How portable kernels finish the sum of an output channel. */
#ifndef EK_CHANNEL_FINISH_H
#define EK_CHANNEL_FINISH_H

#include "ek_dsp_requantize.h"

/* Parameters of a channel, in words: its bias with the input zero point folded in, then multiplier,
 * offset and exponent of the finish. */
enum { EK_CHANNEL_PARAMETERS = 4 };

/* A finish of ek_dsp_requantize.h that all channels share, but for EK_DSP_GENERAL. */
typedef struct {
  int32_t finish;
  int32_t raise;
  int32_t lower;
} ek_channel_finish;

/* sum: bias and products. */
static inline int8_t ek_finish_channel(const ek_channel_finish *finish, const int32_t *channel,
                                       int32_t sum) {
  const int32_t clamp[2] = {finish->raise, finish->lower};
  const int32_t high = ek_doubling_high_multiply(sum, channel[1 + EK_DSP_MULTIPLIER]);
  return ek_dsp_finish(high, sum < 0, channel + 1, clamp, finish->finish);
}

#endif
