/* SPDX-License-Identifier: Apache-2.0 */
/* Concatenation of int8 maps; tables change the scales of those that have another one. */
#ifndef EK_CONCAT_S8_TABLE_H
#define EK_CONCAT_S8_TABLE_H

#include "ek_kernel.h"

/* Input i lies in the output from column_offsets[i] and channel_offsets[i] on:
 * output = tables[table_of[i]][x + 128], or x where table_of[i] is -1. */
typedef struct {
  int32_t input_count;
  int32_t output_channels;
  const int32_t *widths; /* [input_count], and so on */
  const int32_t *channels;
  const int32_t *column_offsets;
  const int32_t *channel_offsets;
  const int32_t *table_of;
  const int8_t *tables; /* [][256] */
} ek_concat_s8_table;

/* Side by side along columns or channels. rows: input_count pointers, to [widths[i]][channels[i]];
 * one may come twice. output: [output width][output_channels]. No scratch. */
void ek_concat_s8_table__c_rows(const void *layer, const void *const *rows, void *output,
                                const ek_region *region, void *scratch);

/* One below the other along rows: all elements of a tensor are columns of one channel.
 * inputs: input_count pointers, to [widths[i]]; one may come twice. output: [sum of widths]. No
 * scratch. */
void ek_concat_s8_table__c(const void *layer, const void *const *inputs, void *output,
                           void *scratch);

#endif
