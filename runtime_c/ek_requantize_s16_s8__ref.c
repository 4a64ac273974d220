/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_requantize.h"
#include "ek_requantize_s16_s8.h"

void ek_requantize_s16_s8__ref(const void *layer_, const void *const *rows, void *output,
                               const ek_region *region, void *scratch) {
  const ek_requantize_s16_s8 *layer = (const ek_requantize_s16_s8 *)layer_;
  const int16_t *in = (const int16_t *)rows[0];
  int8_t *out = (int8_t *)output;
  const int32_t zero_point = layer->output_zero_point;
  const int32_t minimum = layer->minimum - zero_point;
  const int32_t maximum = layer->maximum - zero_point;
  (void)scratch;
  for (int32_t i = region->column_begin * layer->channels; i < region->column_end * layer->channels;
       i++) {
    const int32_t scaled = ek_scale(in[i], layer->multiplier, layer->shift);
    out[i] = (int8_t)(ek_clamp(scaled, minimum, maximum) + zero_point);
  }
}
