/* SPDX-License-Identifier: Apache-2.0 */
/* int16 tensors side by side along one axis, each rescaled. */
#ifndef EK_CONCAT_S16_H
#define EK_CONCAT_S16_H

#include "ek_kernel.h"

/* In every turn, each input in order gives its next block_elements[i] elements:
 * output = clamp(scale(x)) */
typedef struct {
  int32_t input_count;
  int32_t turns;
  const int32_t *block_elements; /* [input_count] */
  const int32_t *multipliers;    /* [input_count], in [0, 2^31) */
  const int32_t *shifts;         /* [input_count], -31 to 30, > 0 is to the left */
} ek_concat_s16;

/* inputs: input_count pointers, to [turns][block_elements[i]]; one tensor may come twice.
 * output: [turns][sum of block_elements]. No scratch. */
void ek_concat_s16__ref(const void *layer, const void *const *inputs, void *output, void *scratch);

#endif
