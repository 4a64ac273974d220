/* SPDX-License-Identifier: Apache-2.0 */
/* Resizing of an int8 map by repeating or dropping rows and columns, row by row. */
#ifndef EK_RESIZE_NEAREST_S8_H
#define EK_RESIZE_NEAREST_S8_H

#include "ek_kernel.h"

/* output[x] = row[columns[x]], all channels */
typedef struct {
  const uint16_t *columns; /* [output width] */
  int32_t channels;
} ek_resize_nearest_s8;

/* rows: one pointer, to [input width][channels]. output: [output width][channels]. No scratch. */
void ek_resize_nearest_s8__ref(const void *layer, const void *const *rows, void *output,
                               const ek_region *region, void *scratch);
void ek_resize_nearest_s8__c(const void *layer, const void *const *rows, void *output,
                             const ek_region *region, void *scratch);

#endif
