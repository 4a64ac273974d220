/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_requantize.h"
#include "ek_sub_s16.h"

static int16_t subtract(const ek_sub_s16 *layer, int32_t a, int32_t b) {
  const int32_t first = a * ((int32_t)1 << layer->left_shift);
  const int32_t second = b * ((int32_t)1 << layer->left_shift);
  const int32_t difference = ek_scale(first, layer->first_multiplier, layer->first_shift) -
                             ek_scale(second, layer->second_multiplier, layer->second_shift);
  const int32_t scaled = ek_scale(difference, layer->output_multiplier, layer->output_shift);
  return (int16_t)ek_clamp(scaled, layer->minimum, layer->maximum);
}

void ek_sub_s16__ref(const void *layer_, const void *const *rows, void *output,
                     const ek_region *region, void *scratch) {
  const ek_sub_s16 *layer = (const ek_sub_s16 *)layer_;
  (void)scratch;
  for (int32_t column = region->column_begin; column < region->column_end; column++) {
    const int16_t *first = (const int16_t *)rows[0] + column * layer->first_column_stride;
    const int16_t *second = (const int16_t *)rows[1] + column * layer->second_column_stride;
    int16_t *out = (int16_t *)output + column * layer->channels;
    for (int32_t c = 0; c < layer->channels; c++) {
      out[c] = subtract(layer, first[c * layer->first_channel_stride],
                        second[c * layer->second_channel_stride]);
    }
  }
}
