/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_concat_s16.h"
#include "ek_requantize.h"

static void rescale(const ek_concat_s16 *layer, int32_t input, const int16_t *in, int16_t *out) {
  for (int32_t c = 0; c < layer->channels[input]; c++) {
    const int32_t scaled = ek_scale(in[c], layer->multipliers[input], layer->shifts[input]);
    out[c] = (int16_t)ek_clamp(scaled, -32768, 32767);
  }
}

void ek_concat_s16__ref_rows(const void *layer_, const void *const *rows, void *output,
                             const ek_region *region, void *scratch) {
  const ek_concat_s16 *layer = (const ek_concat_s16 *)layer_;
  (void)scratch;
  for (int32_t i = 0; i < layer->input_count; i++) {
    int16_t *out = (int16_t *)output + layer->channel_offsets[i];
    for (int32_t x = region->column_begin; x < region->column_end; x++) {
      const int32_t column = x - layer->column_offsets[i];
      if (column >= 0 && column < layer->widths[i]) {
        const int16_t *in = (const int16_t *)rows[i] + column * layer->channels[i];
        rescale(layer, i, in, out + x * layer->output_channels);
      }
    }
  }
}
