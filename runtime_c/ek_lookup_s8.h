/* SPDX-License-Identifier: Apache-2.0 */
/* A function of one int8 value as a table. */
#ifndef EK_LOOKUP_S8_H
#define EK_LOOKUP_S8_H

#include "ek_kernel.h"

/* output = table[x + 128] */
typedef struct {
  int32_t channels;
  const int8_t *table; /* [256] */
} ek_lookup_s8;

/* rows: one pointer to [width][channels].
 * output: [width][channels]; it may be the input. No scratch. */
void ek_lookup_s8__ref(const void *layer, const void *const *rows, void *output,
                       const ek_region *region, void *scratch);
void ek_lookup_s8__c(const void *layer, const void *const *rows, void *output,
                     const ek_region *region, void *scratch);

#endif
