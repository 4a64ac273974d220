/* SPDX-License-Identifier: Apache-2.0 */
/* A constant border around the rows, columns and channels of an int8 map, row by row. */
#ifndef EK_PAD_S8_H
#define EK_PAD_S8_H

#include "ek_kernel.h"

/* output[x][c] = row[x - columns_before][c - channels_before], or value outside */
typedef struct {
  int32_t input_width;
  int32_t input_channels;
  int32_t output_channels;
  int32_t columns_before;
  int32_t channels_before;
  int32_t value; /* int8 */
} ek_pad_s8;

/* rows: one pointer to [input_width][input_channels], NULL for a row of the border.
 * output: [output width][output_channels]. No scratch. */
void ek_pad_s8__ref(const void *layer, const void *const *rows, void *output,
                    const ek_region *region, void *scratch);
void ek_pad_s8__c(const void *layer, const void *const *rows, void *output, const ek_region *region,
                  void *scratch);

#endif
