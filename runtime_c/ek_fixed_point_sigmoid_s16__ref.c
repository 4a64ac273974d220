/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_fixed_point_sigmoid_s16.h"

static int32_t interpolated(const ek_fixed_point_sigmoid_s16 *layer, int32_t distance) {
  const int32_t index = distance >> layer->bits;
  if (index >= 255) {
    return layer->saturated;
  }
  const int32_t low = layer->table[index];
  const int32_t high = layer->table[index + 1];
  const int32_t rest = distance & (((int32_t)1 << layer->bits) - 1);
  return (int32_t)((uint32_t)low << layer->bits) + rest * (high - low);
}

void ek_fixed_point_sigmoid_s16__ref(const void *layer_, const void *const *rows, void *output,
                                     const ek_region *region, void *scratch) {
  const ek_fixed_point_sigmoid_s16 *layer = (const ek_fixed_point_sigmoid_s16 *)layer_;
  const int16_t *in = (const int16_t *)rows[0];
  int16_t *out = (int16_t *)output;
  const int32_t half = ((int32_t)1 << layer->input_shift) >> 1;
  const int32_t round_up = (int32_t)1 << (layer->output_shift - 1);
  (void)scratch;
  for (int32_t i = region->column_begin * layer->channels; i < region->column_end * layer->channels;
       i++) {
    const int32_t steps = (in[i] * layer->multiplier + half) >> layer->input_shift;
    const int32_t t = interpolated(layer, steps < 0 ? -steps : steps);
    const int32_t value = steps < 0 ? layer->below - t + round_up - 1 : t - layer->above + round_up;
    out[i] = (int16_t)(value >> layer->output_shift);
  }
}
