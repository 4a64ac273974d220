/* SPDX-License-Identifier: Apache-2.0 */
/* Element-wise product of two int8 operands that broadcast. */
#ifndef EK_MUL_S8_H
#define EK_MUL_S8_H

#include "ek_kernel.h"

/* output = clamp(scale((a - first_zero_point) * (b - second_zero_point)) + output_zero_point)
 * Strides are in elements; 0 repeats the operand. */
typedef struct {
  int32_t channels;
  int32_t first_column_stride;
  int32_t first_channel_stride;
  int32_t second_column_stride;
  int32_t second_channel_stride;
  int32_t first_zero_point;
  int32_t second_zero_point;
  int32_t multiplier; /* in [0, 2^31) */
  int32_t shift;      /* -31 to 30, > 0 is to the left */
  int32_t output_zero_point;
  int32_t minimum;
  int32_t maximum;
} ek_mul_s8;

/* rows: the first and the second operand, constants included.
 * output: [output width][channels]; it may be the row of an operand of the same shape. No scratch.
 */
void ek_mul_s8__ref(const void *layer, const void *const *rows, void *output,
                    const ek_region *region, void *scratch);

#endif
