/* SPDX-License-Identifier: Apache-2.0 */
/* An inverted bottleneck with a residual: expand (1x1), depthwise 3x3, project (1x1), add. */
#ifndef FUSED_ROW_BLOCK_H
#define FUSED_ROW_BLOCK_H

#include "ek_kernel.h"

typedef struct {
  ek_rows_kernel kernel;
  const void *layer;
  int32_t channels; /* of the output */
} block_step;

typedef struct {
  const char *name;
  block_step expand;
  block_step depthwise;
  block_step project;
  block_step add;
  int32_t height;
  int32_t width;
  int32_t row_bytes;          /* of the input, which is also the shape of the output */
  int32_t expanded_row_bytes; /* of a slot of the ring, in the layout that the depthwise reads */
  int32_t depthwise_row_bytes;
  int32_t expanded_zero_point;
  const int8_t *padding_row; /* NULL where the depthwise takes NULL */
  int32_t scratch_bytes;
  const int8_t *input;
  const int8_t *expected;
} row_block;

extern const row_block row_blocks[];
extern const int32_t row_block_count;

#endif
