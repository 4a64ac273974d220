/* SPDX-License-Identifier: Apache-2.0 */
/* Fixed-point scaling of sums of more than 32 bits (edgekit/arith.py is the definition). */
#ifndef EK_REQUANTIZE64_H
#define EK_REQUANTIZE64_H

#include <stdint.h>

/* x * m * 2^(shift - 15) with m = the multiplier / 2^16, ties up, at most 2^15 - 1; the product is
 * rounded once, ties up. |x| < 2^47, multiplier in [0, 2^31), -31 <= shift <= 7. */
static inline int32_t ek_scale64(int64_t x, int32_t multiplier, int32_t shift) {
  const int32_t most = 0x7fff;
  const int32_t rounded = multiplier < 0x7fff0000 ? (multiplier + 0x8000) >> 16 : most;
  const int32_t total_shift = 15 - shift;
  const int64_t half = (int64_t)1 << (total_shift - 1);
  return (int32_t)((x * rounded + half) >> total_shift);
}

#endif
