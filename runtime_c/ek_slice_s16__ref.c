/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_slice_s16.h"

void ek_slice_s16__ref(const void *layer_, const void *const *rows, void *output,
                       const ek_region *region, void *scratch) {
  const ek_slice_s16 *layer = (const ek_slice_s16 *)layer_;
  (void)scratch;
  for (int32_t x = region->column_begin; x < region->column_end; x++) {
    const int16_t *in = (const int16_t *)rows[0] + (layer->first + x * layer->column_stride);
    int16_t *out = (int16_t *)output + x * layer->channels;
    for (int32_t c = 0; c < layer->channels; c++) {
      out[c] = in[c * layer->channel_stride];
    }
  }
}
