/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_mean_s8.h"
#include "ek_requantize.h"

void ek_mean_s8__ref_accumulating(const void *layer_, const void *const *rows, void *output,
                                  const ek_region *region, void *scratch) {
  const ek_mean_s8 *layer = (const ek_mean_s8 *)layer_;
  const int8_t *in = (const int8_t *)rows[0];
  int32_t *sums = (int32_t *)scratch;
  for (int32_t i = 0; i < layer->inner; i++) {
    int32_t sum = region->row == 0 ? 0 : sums[i];
    for (int32_t n = 0; n < layer->count; n++) {
      sum += in[n * layer->inner + i] - layer->input_zero_point;
    }
    sums[i] = sum;
    if (region->row == layer->outer - 1) {
      const int32_t mean = ek_scale(sum, layer->multiplier, layer->shift);
      ((int8_t *)output)[i] = (int8_t)ek_offset_clamp(mean, layer->output_zero_point, -128, 127);
    }
  }
}
