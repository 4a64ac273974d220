/* SPDX-License-Identifier: Apache-2.0 */
/* Element-wise minimum of two int8 operands that broadcast. */
#ifndef EK_MINIMUM_S8_H
#define EK_MINIMUM_S8_H

#include "ek_kernel.h"

/* output = saturate(minimum(scale_first(a - first_zero_point), scale_second(b - second_zero_point))
 * + output_zero_point) Strides are in elements; 0 repeats the operand. Multipliers are in [0,
 * 2^31), shifts in [-31, 30] (> 0 is to the left). */
typedef struct {
  int32_t channels;
  int32_t first_column_stride;
  int32_t first_channel_stride;
  int32_t second_column_stride;
  int32_t second_channel_stride;
  int32_t first_zero_point;
  int32_t first_multiplier;
  int32_t first_shift;
  int32_t second_zero_point;
  int32_t second_multiplier;
  int32_t second_shift;
  int32_t output_zero_point;
} ek_minimum_s8;

/* rows: the first and the second operand, constants included.
 * output: [output width][channels]; it may be the row of an operand of the same shape. No scratch.
 */
void ek_minimum_s8__ref(const void *layer, const void *const *rows, void *output,
                        const ek_region *region, void *scratch);
void ek_minimum_s8__c(const void *layer, const void *const *rows, void *output,
                      const ek_region *region, void *scratch);

#endif
