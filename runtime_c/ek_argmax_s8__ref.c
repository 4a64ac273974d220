/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_argmax_s8.h"

void ek_argmax_s8__ref(const void *layer_, const void *const *inputs, void *output, void *scratch) {
  const ek_argmax_s8 *layer = (const ek_argmax_s8 *)layer_;
  int32_t *out = (int32_t *)output;
  (void)scratch;
  for (int32_t o = 0; o < layer->outer; o++) {
    const int8_t *in = (const int8_t *)inputs[0] + o * layer->count * layer->inner;
    for (int32_t i = 0; i < layer->inner; i++) {
      int32_t best = 0;
      for (int32_t n = 1; n < layer->count; n++) {
        if (layer->sign * in[n * layer->inner + i] > layer->sign * in[best * layer->inner + i]) {
          best = n;
        }
      }
      out[o * layer->inner + i] = best;
    }
  }
}
