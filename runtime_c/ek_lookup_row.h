/* SPDX-License-Identifier: Apache-2.0 */
/* A table's results for consecutive int8 elements. */
#ifndef EK_LOOKUP_ROW_H
#define EK_LOOKUP_ROW_H

#include <stdint.h>

/* output[i] = table[in[i] + 128]; output may be in. */
static inline void ek_lookup_row(const int8_t *table, const int8_t *in, int8_t *output,
                                 int32_t count) {
  const int8_t *of_zero = table + 128;
  for (const int8_t *end = in + (count & ~3); in != end; in += 4, output += 4) {
    const int32_t a = in[0], b = in[1], c = in[2], d = in[3];
    output[0] = of_zero[a];
    output[1] = of_zero[b];
    output[2] = of_zero[c];
    output[3] = of_zero[d];
  }
  for (int32_t i = 0; i < (count & 3); i++) {
    output[i] = of_zero[in[i]];
  }
}

#endif
