/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_lookup_s8.h"

void ek_lookup_s8__ref(const void *layer_, const void *const *rows, void *output,
                       const ek_region *region, void *scratch) {
  const ek_lookup_s8 *layer = (const ek_lookup_s8 *)layer_;
  const int8_t *in = (const int8_t *)rows[0];
  int8_t *out = (int8_t *)output;
  (void)scratch;
  for (int32_t i = region->column_begin * layer->channels; i < region->column_end * layer->channels;
       i++) {
    out[i] = layer->table[in[i] + 128];
  }
}
