/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_reduce_min_s16.h"

void ek_reduce_min_s16__ref(const void *layer_, const void *const *inputs, void *output,
                            void *scratch) {
  const ek_reduce_min_s16 *layer = (const ek_reduce_min_s16 *)layer_;
  int16_t *out = (int16_t *)output;
  (void)scratch;
  for (int32_t o = 0; o < layer->outer; o++) {
    const int16_t *in = (const int16_t *)inputs[0] + o * layer->count * layer->inner;
    for (int32_t i = 0; i < layer->inner; i++) {
      int16_t least = in[i];
      for (int32_t n = 1; n < layer->count; n++) {
        const int16_t x = in[n * layer->inner + i];
        least = x < least ? x : least;
      }
      out[o * layer->inner + i] = least;
    }
  }
}
