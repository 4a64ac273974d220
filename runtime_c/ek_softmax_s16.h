/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax of the channels of int16 pixels; the output has scale 2^-15. */
#ifndef EK_SOFTMAX_S16_H
#define EK_SOFTMAX_S16_H

#include "ek_kernel.h"

/* output = 32768 * exp(d) / sum(exp(d)), clamped to [0, 32767], where d = x - largest x of the
 * pixel. A difference of -65535, once scaled, is -10. edgekit/ops/_softmax_int16.py defines the
 * fixed point and the tables. */
typedef struct {
  const int16_t *exponentials; /* [513], exp over [-10, 0] in Q0.15 */
  const int16_t *reciprocals;  /* [513], 1 / (1 + x) over [0, 1] in Q0.15 */
  int32_t depth;               /* below 2^16 */
  int32_t multiplier;          /* [0, 2^31) */
  int32_t shift;               /* -31 to 14, > 0 is to the left */
} ek_softmax_s16;

/* rows: one pointer, to [width][depth]. output: [width][depth]. No scratch. */
void ek_softmax_s16__ref(const void *layer, const void *const *rows, void *output,
                         const ek_region *region, void *scratch);

#endif
