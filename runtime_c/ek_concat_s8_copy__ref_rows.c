/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_concat_s8_copy.h"

#include <string.h>

void ek_concat_s8_copy__ref_rows(const void *layer_, const void *const *rows, void *output,
                                 const ek_region *region, void *scratch) {
  const ek_concat_s8_copy *layer = (const ek_concat_s8_copy *)layer_;
  (void)scratch;
  for (int32_t i = 0; i < layer->input_count; i++) {
    const int32_t bytes = layer->channels[i];
    int8_t *out = (int8_t *)output + layer->channel_offsets[i];
    for (int32_t x = region->column_begin; x < region->column_end; x++) {
      const int32_t column = x - layer->column_offsets[i];
      if (column >= 0 && column < layer->widths[i]) {
        memcpy(out + x * layer->output_channels, (const int8_t *)rows[i] + column * bytes,
               (size_t)bytes);
      }
    }
  }
}
