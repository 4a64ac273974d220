/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_slice_s8.h"

void ek_slice_s8__ref(const void *layer_, const void *const *rows, void *output,
                      const ek_region *region, void *scratch) {
  const ek_slice_s8 *layer = (const ek_slice_s8 *)layer_;
  (void)scratch;
  for (int32_t x = region->column_begin; x < region->column_end; x++) {
    const int8_t *in = (const int8_t *)rows[0] + (layer->first + x * layer->column_stride);
    int8_t *out = (int8_t *)output + x * layer->channels;
    for (int32_t c = 0; c < layer->channels; c++) {
      out[c] = in[c * layer->channel_stride];
    }
  }
}
