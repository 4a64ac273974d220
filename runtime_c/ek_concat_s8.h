/* SPDX-License-Identifier: Apache-2.0 */
/* int8 tensors side by side along one axis, each rescaled. */
#ifndef EK_CONCAT_S8_H
#define EK_CONCAT_S8_H

#include "ek_kernel.h"

/* In every turn, each input in order gives its next block_elements[i] elements:
 * output = clamp(scale(x - zero_points[i]) + output_zero_point) */
typedef struct {
  int32_t input_count;
  int32_t turns;
  const int32_t *block_elements; /* [input_count] */
  const int32_t *zero_points;    /* [input_count] */
  const int32_t *multipliers;    /* [input_count], in [0, 2^31) */
  const int32_t *shifts;         /* [input_count], -31 to 30, > 0 is to the left */
  int32_t output_zero_point;
} ek_concat_s8;

/* inputs: input_count pointers, to [turns][block_elements[i]]; one tensor may come twice.
 * output: [turns][sum of block_elements]. No scratch. */
void ek_concat_s8__ref(const void *layer, const void *const *inputs, void *output, void *scratch);

#endif
