/* SPDX-License-Identifier: Apache-2.0 */
/* The inner loop of ek_lookup_s8__c: __mve where there are Helium instructions, __portable
 * elsewhere; both compute the same. */
#ifndef EK_LOOKUP_ROW_H
#define EK_LOOKUP_ROW_H

#include <stdint.h>

/* output[i] = table[input[i] + 128] for i < count; output may be input. */
void ek_lookup_row(const int8_t *table, const int8_t *input, int8_t *output, int32_t count);

#endif
