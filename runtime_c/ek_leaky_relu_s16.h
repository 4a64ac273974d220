/* SPDX-License-Identifier: Apache-2.0 */
/* Leaky ReLU of int16 elements. */
#ifndef EK_LEAKY_RELU_S16_H
#define EK_LEAKY_RELU_S16_H

#include "ek_kernel.h"

/* output = clamp(scale(x)) where x >= 0, clamp(scale_slope(x)) below, clamped to int16.
 * multiplier is in [0, 2^31), slope_multiplier in (-2^31, 2^31), shifts -31 to 30, > 0 is to the
 * left. */
typedef struct {
  int32_t channels;
  int32_t multiplier;
  int32_t shift;
  int32_t slope_multiplier;
  int32_t slope_shift;
} ek_leaky_relu_s16;

/* rows: one pointer to [width][channels].
 * output: [width][channels]; it may be the input. No scratch. */
void ek_leaky_relu_s16__ref(const void *layer, const void *const *rows, void *output,
                            const ek_region *region, void *scratch);

#endif
