/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_lookup_row.h"

#if !defined(__ARM_FEATURE_MVE)

void ek_lookup_row(const int8_t *table, const int8_t *input, int8_t *output, int32_t count) {
  const int8_t *of_zero = table + 128;
  const int8_t *end = input + (count & ~3);
  for (; input != end; input += 4, output += 4) {
    const int32_t a = input[0], b = input[1], c = input[2], d = input[3];
    output[0] = of_zero[a];
    output[1] = of_zero[b];
    output[2] = of_zero[c];
    output[3] = of_zero[d];
  }
  for (int32_t i = 0; i < (count & 3); i++) {
    output[i] = of_zero[input[i]];
  }
}

#endif
