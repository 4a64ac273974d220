/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_concat_s8.h"
#include "ek_requantize.h"

void ek_concat_s8__ref(const void *layer_, const void *const *inputs, void *output, void *scratch) {
  const ek_concat_s8 *layer = (const ek_concat_s8 *)layer_;
  int8_t *out = (int8_t *)output;
  (void)scratch;
  for (int32_t i = 0; i < layer->input_count; i++) {
    const int8_t *in = (const int8_t *)inputs[i];
    for (int32_t e = 0; e < layer->widths[i]; e++) {
      const int32_t scaled =
          ek_scale(in[e] - layer->zero_points[i], layer->multipliers[i], layer->shifts[i]);
      *out++ = (int8_t)ek_offset_clamp(scaled, layer->output_zero_point, -128, 127);
    }
  }
}
