/* SPDX-License-Identifier: Apache-2.0 */
/* How the DSP kernels finish a sum, and what the fast finishes compute, in portable C.
 *
 * A fast finish is exact where edgekit/ops/_dsp_requantize.py proved it for every channel: with
 * x = doubling_high_multiply(sum, multiplier) and 1 <= exponent, the sum of x, the nudge -1 of
 * negative values and the offset 2^(exponent - 1) + (zero_point << exponent) stays in 32 bits. */
#ifndef EK_DSP_REQUANTIZE_H
#define EK_DSP_REQUANTIZE_H

#include "ek_requantize.h"

enum {
  EK_DSP_AT_ZERO_POINT = 0, /* int8's clamp, which is also at the zero point: no nudge is needed */
  EK_DSP_LINEAR = 1,        /* int8's clamp */
  EK_DSP_CLAMPED = 2,       /* a narrower clamp: the offset puts its minimum at -128 */
  EK_DSP_GENERAL = 3        /* ek_scale, any multiplier, shift and clamp */
};

/* The parameters of a fast finish of one channel, as the packed tables hold them. raise and lower
 * follow where the finish is EK_DSP_CLAMPED. */
enum { EK_DSP_MULTIPLIER = 0, EK_DSP_OFFSET = 1, EK_DSP_EXPONENT = 2 };
enum { EK_DSP_RAISE = 0, EK_DSP_LOWER = 1 };

/* high: doubling_high_multiply(sum, multiplier). clamp: raise and lower, read when the finish is
 * EK_DSP_CLAMPED. */
static inline int8_t ek_dsp_finish(int32_t high, int32_t is_negative, const int32_t *channel,
                                   const int32_t *clamp, int32_t finish) {
  const int32_t nudge = finish != EK_DSP_AT_ZERO_POINT && is_negative ? -1 : 0;
  const int32_t value = (high + (channel[EK_DSP_OFFSET] + nudge)) >> channel[EK_DSP_EXPONENT];
  const int32_t saturated = ek_clamp(value, -128, 127);
  if (finish != EK_DSP_CLAMPED) {
    return (int8_t)saturated;
  }
  return (int8_t)(ek_clamp(saturated + clamp[EK_DSP_RAISE], -128, 127) - clamp[EK_DSP_LOWER]);
}

/* doubled: twice the sum. */
static inline int8_t ek_dsp_requantize(int32_t doubled, const int32_t *channel,
                                       const int32_t *clamp, int32_t finish) {
  const int64_t product = (int64_t)doubled * channel[EK_DSP_MULTIPLIER];
  const int32_t high = (int32_t)((product + ((int64_t)1 << 31)) >> 32);
  return ek_dsp_finish(high, doubled < 0, channel, clamp, finish);
}

#endif
