/* SPDX-License-Identifier: Apache-2.0 */
/* Walks a rows kernel over a whole map. */
#ifndef EK_ROWS_H
#define EK_ROWS_H

#include "ek_kernel.h"

enum {
  EK_MAX_ROWS = 64,    /* row pointers of one call: kernel rows times operands */
  EK_MAX_OPERANDS = 2, /* maps that a rows kernel reads */
};

/* Row r of operand i for output row y lies at position p = y * stride - pad_top + r * dilation: its
 * row p / upsampling where that is a whole number, else padding. */
typedef struct {
  ek_rows_kernel kernel;
  const void *layer;
  const void *padding_row; /* what stands for rows outside the map; may be NULL */
  int32_t operand_count;
  int32_t operand_row_bytes[EK_MAX_OPERANDS]; /* 0: one row serves all */
  int32_t output_row_bytes;
  int32_t bottom_up;   /* 1: the last row is computed first */
  int32_t output_fill; /* byte that an output row is set to before it is computed, or -1 */
  int32_t input_height;
  int32_t output_height;
  int32_t output_width;
  int32_t output_channels;
  int32_t kernel_height;
  int32_t stride;
  int32_t dilation;
  int32_t pad_top;
  int32_t upsampling; /* positions from one input row to the next, >= 1 */
} ek_rows_loop;

/* Computes all rows of the output from whole operands. */
void ek_run_rows(const ek_rows_loop *loop, const void *const *operands, void *output,
                 void *scratch);

#endif
