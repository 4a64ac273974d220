/* SPDX-License-Identifier: Apache-2.0 */
/* Sigmoid or tanh of int16 elements, by interpolation in a table of the sigmoid. */
#ifndef EK_FIXED_POINT_SIGMOID_S16_H
#define EK_FIXED_POINT_SIGMOID_S16_H

#include "ek_kernel.h"

/* steps = (x * multiplier) / 2^input_shift, ties up; t = the table at |steps| / 2^bits,
 * interpolated, times 2^bits, or saturated from entry 255 on. output = (t - above) / 2^output_shift
 * where steps >= 0, (below - t) / 2^output_shift below 0, ties away from the middle of the curve.
 */
typedef struct {
  const uint16_t *table; /* [256] */
  int32_t channels;
  int32_t multiplier;  /* [0, 2^16) */
  int32_t input_shift; /* 0 to 30 */
  int32_t bits;
  int32_t output_shift;
  int32_t above;
  int32_t below;
  int32_t saturated;
} ek_fixed_point_sigmoid_s16;

/* rows: one pointer to [width][channels].
 * output: [width][channels]; it may be the input. No scratch. */
void ek_fixed_point_sigmoid_s16__ref(const void *layer, const void *const *rows, void *output,
                                     const ek_region *region, void *scratch);

#endif
