/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_fully_connected_s16.h"
#include "ek_requantize.h"

void ek_fully_connected_s16__ref_narrow(const void *layer_, const void *const *inputs, void *output,
                                        void *scratch) {
  const ek_fully_connected_s16 *layer = (const ek_fully_connected_s16 *)layer_;
  (void)scratch;
  for (int32_t row = 0; row < layer->rows; row++) {
    const int16_t *in = (const int16_t *)inputs[0] + row * layer->input_channels;
    int16_t *out = (int16_t *)output + row * layer->output_channels;
    for (int32_t c = 0; c < layer->output_channels; c++) {
      const int8_t *w = layer->weights + c * layer->input_channels;
      uint32_t sum = (uint32_t)layer->bias[c];
      for (int32_t i = 0; i < layer->input_channels; i++) {
        sum += (uint32_t)(in[i] * w[i]);
      }
      const int32_t scaled = ek_scale((int32_t)sum, layer->multipliers[c], layer->shifts[c]);
      out[c] = (int16_t)ek_clamp(scaled, layer->minimum, layer->maximum);
    }
  }
}
