/* SPDX-License-Identifier: Apache-2.0 */
/* The products of one pixel with a block of the input channels of a 1 x 1 convolution. */
#ifndef EK_BLOCK_DOT_H
#define EK_BLOCK_DOT_H

#include <stddef.h>
#include <stdint.h>

/* sums[c] = before[c] + the products of channel c, modulo 2^32; before may be NULL, for zeros.
 * weights: [outputs][inputs]. */
static inline void ek_block_dot(const int8_t *pixel, const int8_t *weights, int32_t inputs,
                                int32_t outputs, const int32_t *before, int32_t *sums) {
  for (int32_t c = 0; c < outputs; c++, weights += inputs) {
    int32_t sum = 0;
    for (int32_t i = 0; i < inputs; i++) {
      sum += pixel[i] * weights[i];
    }
    sums[c] = before == NULL ? sum : (int32_t)((uint32_t)before[c] + (uint32_t)sum);
  }
}

#endif
