/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_mean_s8.h"
#include "ek_requantize.h"

void ek_mean_s8__ref(const void *layer_, const void *const *inputs, void *output, void *scratch) {
  const ek_mean_s8 *layer = (const ek_mean_s8 *)layer_;
  int8_t *out = (int8_t *)output;
  (void)scratch;
  for (int32_t o = 0; o < layer->outer; o++) {
    const int8_t *in = (const int8_t *)inputs[0] + o * layer->count * layer->inner;
    for (int32_t i = 0; i < layer->inner; i++) {
      int32_t sum = 0;
      for (int32_t n = 0; n < layer->count; n++) {
        sum += in[n * layer->inner + i] - layer->input_zero_point;
      }
      const int32_t mean = ek_scale(sum, layer->multiplier, layer->shift);
      out[o * layer->inner + i] =
          (int8_t)ek_offset_clamp(mean, layer->output_zero_point, -128, 127);
    }
  }
}
