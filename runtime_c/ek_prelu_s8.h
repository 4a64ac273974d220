/* SPDX-License-Identifier: Apache-2.0 */
/* PReLU of an int8 map with slopes that broadcast. */
#ifndef EK_PRELU_S8_H
#define EK_PRELU_S8_H

#include "ek_kernel.h"

/* With a = x - input_zero_point:
 * output = saturate(scale_identity(a) + output_zero_point)                             where a >= 0
 * output = saturate(scale_slope(a * (slope - slope_zero_point)) + output_zero_point)   elsewhere
 * Strides are in elements; 0 repeats the operand. Multipliers are in [0, 2^31), shifts in
 * [-31, 30] (> 0 is to the left). */
typedef struct {
  int32_t channels;
  int32_t input_column_stride;
  int32_t input_channel_stride;
  int32_t slope_column_stride;
  int32_t slope_channel_stride;
  int32_t input_zero_point;
  int32_t slope_zero_point;
  int32_t identity_multiplier;
  int32_t identity_shift;
  int32_t slope_multiplier;
  int32_t slope_shift;
  int32_t output_zero_point;
} ek_prelu_s8;

/* rows: the input and the slopes, constants included.
 * output: [output width][channels]; it may be the row of an operand of the same shape. No scratch.
 */
void ek_prelu_s8__ref(const void *layer, const void *const *rows, void *output,
                      const ek_region *region, void *scratch);

#endif
