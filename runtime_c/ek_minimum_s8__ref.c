/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_minimum_s8.h"
#include "ek_requantize.h"

static int8_t smaller(const ek_minimum_s8 *layer, int32_t a, int32_t b) {
  const int32_t zero_point = layer->output_zero_point;
  const int32_t first =
      ek_scale(a - layer->first_zero_point, layer->first_multiplier, layer->first_shift);
  const int32_t second =
      ek_scale(b - layer->second_zero_point, layer->second_multiplier, layer->second_shift);
  const int32_t chosen = first < second ? first : second;
  return (int8_t)ek_offset_clamp(chosen, zero_point, -128, 127);
}

void ek_minimum_s8__ref(const void *layer_, const void *const *rows, void *output,
                        const ek_region *region, void *scratch) {
  const ek_minimum_s8 *layer = (const ek_minimum_s8 *)layer_;
  (void)scratch;
  for (int32_t column = region->column_begin; column < region->column_end; column++) {
    const int8_t *first = (const int8_t *)rows[0] + column * layer->first_column_stride;
    const int8_t *second = (const int8_t *)rows[1] + column * layer->second_column_stride;
    int8_t *out = (int8_t *)output + column * layer->channels;
    for (int32_t c = 0; c < layer->channels; c++) {
      out[c] = smaller(layer, first[c * layer->first_channel_stride],
                       second[c * layer->second_channel_stride]);
    }
  }
}
