/* SPDX-License-Identifier: Apache-2.0 */
/* Products of int16 matrices that are both computed by the model. */
#ifndef EK_BATCH_MATMUL_S16_H
#define EK_BATCH_MATMUL_S16_H

#include "ek_kernel.h"

/* z = clamp(scale(sum over depth of x * y)), with sums of 64 bits (ek_requantize64.h);
 * strides are in elements, a batch stride of 0 repeats the matrix. */
typedef struct {
  int32_t batches;
  int32_t rows;
  int32_t depth; /* 1 to 2^15 */
  int32_t columns;
  int32_t x_batch_stride;
  int32_t x_row_stride;
  int32_t x_depth_stride;
  int32_t y_batch_stride;
  int32_t y_depth_stride;
  int32_t y_column_stride;
  int32_t multiplier; /* in [0, 2^31) */
  int32_t shift;      /* -31 to 7, > 0 is to the left */
} ek_batch_matmul_s16;

/* inputs: x and y. output: [batches][rows][columns]. No scratch. */
void ek_batch_matmul_s16__ref(const void *layer, const void *const *inputs, void *output,
                              void *scratch);

#endif
