/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_reduce_min_s8.h"

void ek_reduce_min_s8__ref(const void *layer_, const void *const *inputs, void *output,
                           void *scratch) {
  const ek_reduce_min_s8 *layer = (const ek_reduce_min_s8 *)layer_;
  int8_t *out = (int8_t *)output;
  (void)scratch;
  for (int32_t o = 0; o < layer->outer; o++) {
    const int8_t *in = (const int8_t *)inputs[0] + o * layer->count * layer->inner;
    for (int32_t i = 0; i < layer->inner; i++) {
      int8_t least = in[i];
      for (int32_t n = 1; n < layer->count; n++) {
        const int8_t x = in[n * layer->inner + i];
        least = x < least ? x : least;
      }
      out[o * layer->inner + i] = least;
    }
  }
}
