/* SPDX-License-Identifier: Apache-2.0 */
/* A regular part of an int8 map, row by row. */
#ifndef EK_SLICE_S8_H
#define EK_SLICE_S8_H

#include "ek_kernel.h"

/* output[x][c] = row[first + x * column_stride + c * channel_stride]; strides may be negative */
typedef struct {
  int32_t first;
  int32_t column_stride;
  int32_t channel_stride;
  int32_t channels; /* of the output */
} ek_slice_s8;

/* rows: one pointer, to an input row. output: [output width][channels]. No scratch. */
void ek_slice_s8__ref(const void *layer, const void *const *rows, void *output,
                      const ek_region *region, void *scratch);
void ek_slice_s8__c(const void *layer, const void *const *rows, void *output,
                    const ek_region *region, void *scratch);

#endif
