/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_mirror_pad_s16.h"

void ek_mirror_pad_s16__ref(const void *layer_, const void *const *rows, void *output,
                            const ek_region *region, void *scratch) {
  const ek_mirror_pad_s16 *layer = (const ek_mirror_pad_s16 *)layer_;
  (void)scratch;
  for (int32_t x = region->column_begin; x < region->column_end; x++) {
    const int16_t *in = (const int16_t *)rows[0] + layer->columns[x] * layer->input_channels;
    int16_t *out = (int16_t *)output + x * layer->output_channels;
    for (int32_t c = 0; c < layer->output_channels; c++) {
      out[c] = in[layer->channels[c]];
    }
  }
}
