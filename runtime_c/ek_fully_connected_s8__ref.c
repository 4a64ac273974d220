/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_fully_connected_s8.h"
#include "ek_requantize.h"

void ek_fully_connected_s8__ref(const void *layer_, const void *const *inputs, void *output,
                                void *scratch) {
  const ek_fully_connected_s8 *layer = (const ek_fully_connected_s8 *)layer_;
  (void)scratch;
  for (int32_t row = 0; row < layer->rows; row++) {
    const int8_t *in = (const int8_t *)inputs[0] + row * layer->input_channels;
    int8_t *out = (int8_t *)output + row * layer->output_channels;
    for (int32_t c = 0; c < layer->output_channels; c++) {
      const int8_t *w = layer->weights + c * layer->input_channels;
      int32_t sum = layer->bias[c];
      for (int32_t i = 0; i < layer->input_channels; i++) {
        sum += (in[i] - layer->input_zero_point) * w[i];
      }
      const int32_t scaled = ek_scale(sum, layer->multipliers[c], layer->shifts[c]);
      out[c] =
          (int8_t)ek_offset_clamp(scaled, layer->output_zero_point, layer->minimum, layer->maximum);
    }
  }
}
