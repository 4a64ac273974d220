/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_concat_run.h"

void ek_concat_s8_table__c_rows(const void *layer_, const void *const *rows, void *output,
                                const ek_region *region, void *scratch) {
  const ek_concat_s8_table *layer = (const ek_concat_s8_table *)layer_;
  (void)scratch;
  for (int32_t i = 0; i < layer->input_count; i++) {
    const int32_t channels = layer->channels[i];
    int8_t *out = (int8_t *)output + layer->channel_offsets[i];
    for (int32_t x = region->column_begin; x < region->column_end; x++) {
      const int32_t column = x - layer->column_offsets[i];
      if (column >= 0 && column < layer->widths[i]) {
        const int8_t *in = (const int8_t *)rows[i] + column * channels;
        ek_concat_run(layer, i, in, out + x * layer->output_channels, channels);
      }
    }
  }
}
