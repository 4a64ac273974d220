/* SPDX-License-Identifier: Apache-2.0 */
/* Sum of two int8 operands that broadcast, each times its own weight. */
#ifndef EK_LINEAR_SUM_S8_H
#define EK_LINEAR_SUM_S8_H

#include "ek_kernel.h"

/* sum = offset + floor(first_weight * a / 2^8) + floor(second_weight * b / 2^8), in 2^-20 steps of
 * the output; the finish (ek_linear_row.h) rounds and clamps it. edgekit/ops/_linear_sum.py finds
 * the integers and proves them on every pair of values. Nothing exceeds 32 bits.
 * Strides are in elements; 0 repeats the operand. */
typedef struct {
  int32_t channels;
  int32_t first_column_stride;
  int32_t first_channel_stride;
  int32_t second_column_stride;
  int32_t second_channel_stride;
  int32_t first_weight;
  int32_t second_weight;
  int32_t offset;
  int32_t finish;
  int32_t output_offset;
  int32_t raise;
  int32_t lower;
} ek_linear_sum_s8;

/* rows: the first and the second operand, constants included.
 * output: [output width][channels]; it may be the row of an operand of the same shape. No scratch.
 * Needs unaligned word loads where the core has DSP instructions. */
void ek_linear_sum_s8__c(const void *layer, const void *const *rows, void *output,
                         const ek_region *region, void *scratch);

#endif
