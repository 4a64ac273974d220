/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_mean_s16.h"
#include "ek_requantize.h"

void ek_mean_s16__ref_rows(const void *layer_, const void *const *rows, void *output,
                           const ek_region *region, void *scratch) {
  const ek_mean_s16 *layer = (const ek_mean_s16 *)layer_;
  (void)scratch;
  for (int32_t column = region->column_begin; column < region->column_end; column++) {
    const int16_t *in = (const int16_t *)rows[0] + column * layer->count * layer->inner;
    int16_t *out = (int16_t *)output + column * layer->inner;
    for (int32_t i = 0; i < layer->inner; i++) {
      int32_t sum = 0;
      for (int32_t n = 0; n < layer->count; n++) {
        sum += in[n * layer->inner + i];
      }
      const int32_t mean = ek_scale(sum, layer->multiplier, layer->shift);
      out[i] = (int16_t)ek_clamp(mean, -32768, 32767);
    }
  }
}
