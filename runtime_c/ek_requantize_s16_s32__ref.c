/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_requantize.h"
#include "ek_requantize_s16_s32.h"

void ek_requantize_s16_s32__ref(const void *layer_, const void *const *rows, void *output,
                                const ek_region *region, void *scratch) {
  const ek_requantize_s16_s32 *layer = (const ek_requantize_s16_s32 *)layer_;
  const int16_t *in = (const int16_t *)rows[0];
  int32_t *out = (int32_t *)output;
  (void)scratch;
  for (int32_t i = region->column_begin * layer->channels; i < region->column_end * layer->channels;
       i++) {
    const int32_t scaled = ek_scale(in[i], layer->multiplier, layer->shift);
    out[i] = ek_clamp(scaled, layer->minimum, layer->maximum);
  }
}
