/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of an int8 tensor divided by their Euclidean length. */
#ifndef EK_L2_NORMALIZATION_S8_H
#define EK_L2_NORMALIZATION_S8_H

#include "ek_kernel.h"

/* With a = x - input_zero_point: output = clamp(128 * a / sqrt(sum of a * a)), clamped to int8.
 * A row of zeros stays one. */
typedef struct {
  int32_t rows;
  int32_t depth; /* 1 to 2^15 */
  int32_t input_zero_point;
} ek_l2_normalization_s8;

/* inputs: one pointer, to [rows][depth]. output: [rows][depth]. No scratch. */
void ek_l2_normalization_s8__ref(const void *layer, const void *const *inputs, void *output,
                                 void *scratch);

#endif
