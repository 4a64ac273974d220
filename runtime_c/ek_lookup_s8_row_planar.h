/* SPDX-License-Identifier: Apache-2.0 */
/* A function of one int8 value as a table, from NHWC to row-planar rows. */
#ifndef EK_LOOKUP_S8_ROW_PLANAR_H
#define EK_LOOKUP_S8_ROW_PLANAR_H

#include "ek_kernel.h"

/* output = table[x + 128] */
typedef struct {
  int32_t channels;
  int32_t channel_stride; /* bytes of an output channel */
  int32_t pad_left;       /* columns of padding before the first one */
  const int8_t *table;    /* [256] */
} ek_lookup_s8_row_planar;

/* rows: one pointer to [width][channels].
 * output: row-planar [channels][channel_stride] (edgekit/layout.py); padding is not written. No
 * scratch. */
void ek_lookup_s8_row_planar__c(const void *layer, const void *const *rows, void *output,
                                const ek_region *region, void *scratch);

#endif
