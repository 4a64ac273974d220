/* SPDX-License-Identifier: Apache-2.0 */
/* Product of two int8 operands that broadcast, with a fast finish. */
#ifndef EK_PRODUCT_S8_H
#define EK_PRODUCT_S8_H

#include "ek_kernel.h"

/* product = (a - first_zero_point) * (b - second_zero_point); multiplier to lower are the words of
 * the finish (ek_dsp_requantize.h), which is never EK_DSP_GENERAL. Strides are in elements; 0
 * repeats the operand. */
typedef struct {
  int32_t channels;
  int32_t first_column_stride;
  int32_t first_channel_stride;
  int32_t second_column_stride;
  int32_t second_channel_stride;
  int32_t first_zero_point;
  int32_t second_zero_point;
  int32_t finish;
  int32_t multiplier;
  int32_t offset;
  int32_t exponent;
  int32_t raise;
  int32_t lower;
} ek_product_s8;

/* rows: the first and the second operand, constants included.
 * output: [output width][channels]; it may be the row of an operand of the same shape. No scratch.
 * Needs unaligned word loads where the core has DSP instructions. */
void ek_product_s8__c(const void *layer, const void *const *rows, void *output,
                      const ek_region *region, void *scratch);

#endif
