/* SPDX-License-Identifier: Apache-2.0 */
/* 1x1 convolution of int8 NHWC rows with weights interleaved for the Helium instructions. */
#ifndef EK_POINTWISE_S8_INTERLEAVED_H
#define EK_POINTWISE_S8_INTERLEAVED_H

#include "ek_kernel.h"

/* output = clamp(scale(bias + sum(x * w)) + output_zero_point), the input zero point in the bias.
 * weights, parameters: as ek_mve_dot.h has them. minimum, maximum: less output_zero_point. */
typedef struct {
  const int8_t *weights;
  const int32_t *parameters;
  int32_t minimum;
  int32_t maximum;
  int32_t output_zero_point;
  int32_t is_general; /* 1: some shift is >= 0 */
  int32_t depth;      /* input channels */
} ek_pointwise_s8_interleaved;

/* rows: one pointer to [region->column_end][depth]; nothing behind that is read.
 * output: [region->column_end][channels of the block], which begins at a multiple of 4. No scratch.
 * Writes the pixels of a tile of 3 channels by channels while it reads them. */
void ek_pointwise_s8_interleaved__mve_3x2(const void *layer, const void *const *rows, void *output,
                                          const ek_region *region, void *scratch);

#endif
