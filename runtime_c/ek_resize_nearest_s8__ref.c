/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_resize_nearest_s8.h"

void ek_resize_nearest_s8__ref(const void *layer_, const void *const *rows, void *output,
                               const ek_region *region, void *scratch) {
  const ek_resize_nearest_s8 *layer = (const ek_resize_nearest_s8 *)layer_;
  (void)scratch;
  for (int32_t x = region->column_begin; x < region->column_end; x++) {
    const int8_t *in = (const int8_t *)rows[0] + layer->columns[x] * layer->channels;
    int8_t *out = (int8_t *)output + x * layer->channels;
    for (int32_t c = 0; c < layer->channels; c++) {
      out[c] = in[c];
    }
  }
}
