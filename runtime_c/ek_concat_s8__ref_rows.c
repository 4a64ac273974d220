/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_concat_s8.h"
#include "ek_requantize.h"

static void rescale(const ek_concat_s8 *layer, int32_t input, const int8_t *in, int8_t *out) {
  for (int32_t c = 0; c < layer->channels[input]; c++) {
    const int32_t scaled = ek_scale(in[c] - layer->zero_points[input], layer->multipliers[input],
                                    layer->shifts[input]);
    out[c] = (int8_t)ek_offset_clamp(scaled, layer->output_zero_point, -128, 127);
  }
}

void ek_concat_s8__ref_rows(const void *layer_, const void *const *rows, void *output,
                            const ek_region *region, void *scratch) {
  const ek_concat_s8 *layer = (const ek_concat_s8 *)layer_;
  (void)scratch;
  for (int32_t i = 0; i < layer->input_count; i++) {
    int8_t *out = (int8_t *)output + layer->channel_offsets[i];
    for (int32_t x = region->column_begin; x < region->column_end; x++) {
      const int32_t column = x - layer->column_offsets[i];
      if (column >= 0 && column < layer->widths[i]) {
        const int8_t *in = (const int8_t *)rows[i] + column * layer->channels[i];
        rescale(layer, i, in, out + x * layer->output_channels);
      }
    }
  }
}
