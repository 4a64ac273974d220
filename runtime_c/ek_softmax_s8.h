/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax of the channels of int8 pixels; the output has scale 1/256 and zero point -128. */
#ifndef EK_SOFTMAX_S8_H
#define EK_SOFTMAX_S8_H

#include "ek_kernel.h"

/* output = clamp(256 * exp(d) / sum(exp(d)) - 128) to int8, where d = x - largest x of the pixel,
 * scaled to Q5.26; exp(d) is 0 where x - largest x < diff_min, and every output is -128 where the
 * sum reaches 512. edgekit/ops/softmax.py defines the fixed point. */
typedef struct {
  int32_t depth;
  int32_t multiplier; /* [0, 2^31) */
  int32_t shift;      /* 0 to 30, to the left */
  int32_t diff_min;   /* <= 0; diff_min * 2^shift >= -31 * 2^26 */
} ek_softmax_s8;

/* rows: one pointer, to [width][depth]. output: [width][depth]. No scratch. */
void ek_softmax_s8__ref(const void *layer, const void *const *rows, void *output,
                        const ek_region *region, void *scratch);

#endif
