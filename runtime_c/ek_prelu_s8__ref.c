/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_prelu_s8.h"
#include "ek_requantize.h"

static int8_t prelu(const ek_prelu_s8 *layer, int32_t x, int32_t slope) {
  const int32_t zero_point = layer->output_zero_point;
  const int32_t a = x - layer->input_zero_point;
  const int32_t scaled = a >= 0 ? ek_scale(a, layer->identity_multiplier, layer->identity_shift)
                                : ek_scale(a * (slope - layer->slope_zero_point),
                                           layer->slope_multiplier, layer->slope_shift);
  return (int8_t)ek_offset_clamp(scaled, zero_point, -128, 127);
}

void ek_prelu_s8__ref(const void *layer_, const void *const *rows, void *output,
                      const ek_region *region, void *scratch) {
  const ek_prelu_s8 *layer = (const ek_prelu_s8 *)layer_;
  (void)scratch;
  for (int32_t column = region->column_begin; column < region->column_end; column++) {
    const int8_t *in = (const int8_t *)rows[0] + column * layer->input_column_stride;
    const int8_t *slopes = (const int8_t *)rows[1] + column * layer->slope_column_stride;
    int8_t *out = (int8_t *)output + column * layer->channels;
    for (int32_t c = 0; c < layer->channels; c++) {
      out[c] = prelu(layer, in[c * layer->input_channel_stride],
                     slopes[c * layer->slope_channel_stride]);
    }
  }
}
