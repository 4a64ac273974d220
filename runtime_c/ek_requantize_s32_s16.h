/* SPDX-License-Identifier: Apache-2.0 */
/* Change of scale and clamp of int32 elements, which become int16. */
#ifndef EK_REQUANTIZE_S32_S16_H
#define EK_REQUANTIZE_S32_S16_H

#include "ek_kernel.h"

/* output = clamp(scale(x)) */
typedef struct {
  int32_t channels;
  int32_t multiplier; /* in [0, 2^31) */
  int32_t shift;      /* -31 to 30, > 0 is to the left and wraps */
  int32_t minimum;
  int32_t maximum;
} ek_requantize_s32_s16;

/* rows: one pointer to [width][channels].
 * output: [width][channels]. No scratch. */
void ek_requantize_s32_s16__ref(const void *layer, const void *const *rows, void *output,
                                const ek_region *region, void *scratch);

#endif
