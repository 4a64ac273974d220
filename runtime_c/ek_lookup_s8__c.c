/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_lookup_s8.h"

void ek_lookup_s8__c(const void *layer_, const void *const *rows, void *output,
                     const ek_region *region, void *scratch) {
  const ek_lookup_s8 *layer = (const ek_lookup_s8 *)layer_;
  const int8_t *in = (const int8_t *)rows[0] + region->column_begin * layer->channels;
  const int32_t count = (region->column_end - region->column_begin) * layer->channels;
  int8_t *out = (int8_t *)output + region->column_begin * layer->channels;
  const int8_t *of_zero = layer->table + 128;
  const int8_t *end = in + (count & ~3);
  (void)scratch;
  for (; in != end; in += 4, out += 4) {
    const int32_t a = in[0], b = in[1], c = in[2], d = in[3];
    out[0] = of_zero[a];
    out[1] = of_zero[b];
    out[2] = of_zero[c];
    out[3] = of_zero[d];
  }
  for (int32_t i = 0; i < (count & 3); i++) {
    out[i] = of_zero[in[i]];
  }
}
