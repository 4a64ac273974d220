/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_leaky_relu_s16.h"
#include "ek_requantize.h"

void ek_leaky_relu_s16__ref(const void *layer_, const void *const *rows, void *output,
                            const ek_region *region, void *scratch) {
  const ek_leaky_relu_s16 *layer = (const ek_leaky_relu_s16 *)layer_;
  const int16_t *in = (const int16_t *)rows[0];
  int16_t *out = (int16_t *)output;
  (void)scratch;
  for (int32_t i = region->column_begin * layer->channels; i < region->column_end * layer->channels;
       i++) {
    const int32_t scaled = in[i] < 0 ? ek_scale(in[i], layer->slope_multiplier, layer->slope_shift)
                                     : ek_scale(in[i], layer->multiplier, layer->shift);
    out[i] = (int16_t)ek_clamp(scaled, -32768, 32767);
  }
}
