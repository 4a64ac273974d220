/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_tile_s8.h"

void ek_tile_s8__ref(const void *layer_, const void *const *rows, void *output,
                     const ek_region *region, void *scratch) {
  const ek_tile_s8 *layer = (const ek_tile_s8 *)layer_;
  (void)scratch;
  for (int32_t x = region->column_begin; x < region->column_end; x++) {
    const int8_t *in = (const int8_t *)rows[0] + x % layer->width * layer->channels;
    int8_t *out = (int8_t *)output + x * layer->output_channels;
    for (int32_t c = 0; c < layer->output_channels; c++) {
      out[c] = in[c % layer->channels];
    }
  }
}
