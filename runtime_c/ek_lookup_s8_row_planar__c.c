/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_lookup_s8_row_planar.h"
#include "ek_row_planar.h"

void ek_lookup_s8_row_planar__c(const void *layer_, const void *const *rows, void *output,
                                const ek_region *region, void *scratch) {
  const ek_lookup_s8_row_planar *layer = (const ek_lookup_s8_row_planar *)layer_;
  const int8_t *in = (const int8_t *)rows[0] + region->column_begin * layer->channels;
  const int8_t *of_zero = layer->table + 128;
  const int32_t stride = layer->channel_stride;
  const int32_t rest = layer->channels & 3;
  (void)scratch;
  for (int32_t column = region->column_begin; column < region->column_end; column++) {
    int8_t *out = (int8_t *)output + ek_planar_byte(column + layer->pad_left);
    for (const int8_t *end = in + (layer->channels & ~3); in != end; in += 4, out += 4 * stride) {
      const int32_t a = in[0], b = in[1], c = in[2], d = in[3];
      out[0] = of_zero[a];
      out[stride] = of_zero[b];
      out[2 * stride] = of_zero[c];
      out[3 * stride] = of_zero[d];
    }
    for (const int8_t *end = in + rest; in != end; in++, out += stride) {
      *out = of_zero[*in];
    }
  }
}
