/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_inverse_root.h"
#include "ek_l2_normalization_s8.h"

void ek_l2_normalization_s8__ref(const void *layer_, const void *const *inputs, void *output,
                                 void *scratch) {
  const ek_l2_normalization_s8 *layer = (const ek_l2_normalization_s8 *)layer_;
  const int8_t *in = (const int8_t *)inputs[0];
  int8_t *out = (int8_t *)output;
  (void)scratch;
  for (int32_t row = 0; row < layer->rows; row++) {
    int32_t sum = 0;
    for (int32_t c = 0; c < layer->depth; c++) {
      const int32_t a = in[c] - layer->input_zero_point;
      sum += a * a;
    }
    const ek_factor scale = ek_inverse_square_root(sum);
    for (int32_t c = 0; c < layer->depth; c++) {
      const int32_t a = in[c] - layer->input_zero_point;
      const int32_t scaled = ek_scale(a, scale.multiplier, scale.shift + 7);
      out[c] = (int8_t)ek_clamp(scaled, -128, 127);
    }
    in += layer->depth;
    out += layer->depth;
  }
}
