/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_fully_connected_s16.h"
#include "ek_requantize.h"

void ek_fully_connected_s16__ref_narrow_accumulating(const void *layer_, const void *const *rows,
                                                     void *output, const ek_region *region,
                                                     void *scratch) {
  const ek_fully_connected_s16 *layer = (const ek_fully_connected_s16 *)layer_;
  const int16_t *in = (const int16_t *)rows[0];
  int16_t *out = (int16_t *)output;
  uint32_t *sums = (uint32_t *)scratch;
  const int32_t part = layer->input_channels / layer->rows;
  for (int32_t c = 0; c < layer->output_channels; c++) {
    const int8_t *w = layer->weights + c * layer->input_channels + region->row * part;
    uint32_t sum = region->row == 0 ? (uint32_t)layer->bias[c] : sums[c];
    for (int32_t i = 0; i < part; i++) {
      sum += (uint32_t)(in[i] * w[i]);
    }
    sums[c] = sum;
    if (region->row == layer->rows - 1) {
      const int32_t scaled = ek_scale((int32_t)sum, layer->multipliers[c], layer->shifts[c]);
      out[c] = (int16_t)ek_clamp(scaled, layer->minimum, layer->maximum);
    }
  }
}
