/* SPDX-License-Identifier: Apache-2.0 */
/* The channels of int8 pixels less their mean, divided by their standard deviation. */
#ifndef EK_LAYER_NORMALIZATION_S8_H
#define EK_LAYER_NORMALIZATION_S8_H

#include "ek_kernel.h"

/* With the sums over the channels of a pixel, exact in 64 bits:
 *   variance = depth * sum(x * x) - sum(x)^2 + epsilon * 2^epsilon_shift
 *   n = (depth * x - sum(x)) / sqrt(variance), in fixed point, |n| <= 2^15
 *   output = scale(n * gamma + beta) + output_zero_point, clamped to int8
 * edgekit/ops/layer_normalization.py defines n, and proves that nothing overflows. */
typedef struct {
  const int16_t *gamma;     /* [depth], at least -32767 */
  const int32_t *beta;      /* [depth], -2^30 to 2^30 */
  int32_t depth;            /* 1 to 2^16 */
  int32_t normalized_shift; /* the fraction of n, less epsilon_shift / 2 where that is negative */
  int32_t epsilon;          /* >= 0 */
  int32_t epsilon_shift;    /* 0 to 29, or even and -14 or more */
  int32_t multiplier;       /* [0, 2^31) */
  int32_t shift;            /* -31 to 0 */
  int32_t output_zero_point;
} ek_layer_normalization_s8;

/* rows: one pointer, to [width][depth]. output: [width][depth]; it may be the input. No scratch. */
void ek_layer_normalization_s8__ref(const void *layer, const void *const *rows, void *output,
                                    const ek_region *region, void *scratch);

#endif
