/* SPDX-License-Identifier: Apache-2.0 */
/* Index of the greatest or least int8 element along one axis. */
#ifndef EK_ARGMAX_S8_H
#define EK_ARGMAX_S8_H

#include "ek_kernel.h"

/* The input seen as [outer][count][inner]; count elements become the index of the first one whose
 * sign * element is greatest. */
typedef struct {
  int32_t outer;
  int32_t count;
  int32_t inner;
  int32_t sign; /* 1: the greatest, -1: the least */
} ek_argmax_s8;

/* inputs: one pointer, to [outer][count][inner]. output: int32_t [outer][inner], 4-byte aligned.
 * No scratch. */
void ek_argmax_s8__ref(const void *layer, const void *const *inputs, void *output, void *scratch);

/* The same along columns or channels, row by row; outer counts for nothing. rows: one pointer, to
 * [output width][count][inner]. output: int32_t [output width][inner], 4-byte aligned. No scratch.
 */
void ek_argmax_s8__ref_rows(const void *layer, const void *const *rows, void *output,
                            const ek_region *region, void *scratch);

#endif
