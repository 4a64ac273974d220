/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_argmax_s8.h"

void ek_argmax_s8__ref_rows(const void *layer_, const void *const *rows, void *output,
                            const ek_region *region, void *scratch) {
  const ek_argmax_s8 *layer = (const ek_argmax_s8 *)layer_;
  (void)scratch;
  for (int32_t x = region->column_begin; x < region->column_end; x++) {
    const int8_t *in = (const int8_t *)rows[0] + x * layer->count * layer->inner;
    int32_t *out = (int32_t *)output + x * layer->inner;
    for (int32_t i = 0; i < layer->inner; i++) {
      int32_t best = 0;
      for (int32_t n = 1; n < layer->count; n++) {
        if (layer->sign * in[n * layer->inner + i] > layer->sign * in[best * layer->inner + i]) {
          best = n;
        }
      }
      out[i] = best;
    }
  }
}
