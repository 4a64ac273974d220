/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax of the channels of int8 pixels, the exponentials from a table. */
#ifndef EK_SOFTMAX_TABLE_S8_H
#define EK_SOFTMAX_TABLE_S8_H

#include "ek_kernel.h"

/* As ek_softmax_s8.h; exponentials[d] is exp of what a difference of d to the pixel's largest value
 * stands for, in Q0.31, and that of d >= length is 0. */
typedef struct {
  const int32_t *exponentials; /* [length] */
  int32_t length;              /* 1 to 256 */
  int32_t depth;
} ek_softmax_table_s8;

/* rows: one pointer, to [width][depth]. output: [width][depth]. No scratch. */
void ek_softmax_table_s8__c(const void *layer, const void *const *rows, void *output,
                            const ek_region *region, void *scratch);

#endif
