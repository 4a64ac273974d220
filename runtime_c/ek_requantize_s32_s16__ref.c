/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_requantize.h"
#include "ek_requantize_s32_s16.h"

void ek_requantize_s32_s16__ref(const void *layer_, const void *const *rows, void *output,
                                const ek_region *region, void *scratch) {
  const ek_requantize_s32_s16 *layer = (const ek_requantize_s32_s16 *)layer_;
  const int32_t *in = (const int32_t *)rows[0];
  int16_t *out = (int16_t *)output;
  (void)scratch;
  for (int32_t i = region->column_begin * layer->channels; i < region->column_end * layer->channels;
       i++) {
    const int32_t scaled = ek_scale(in[i], layer->multiplier, layer->shift);
    out[i] = (int16_t)ek_clamp(scaled, layer->minimum, layer->maximum);
  }
}
