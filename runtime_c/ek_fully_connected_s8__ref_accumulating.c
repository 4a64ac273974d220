/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_fully_connected_s8.h"
#include "ek_requantize.h"

void ek_fully_connected_s8__ref_accumulating(const void *layer_, const void *const *rows,
                                             void *output, const ek_region *region, void *scratch) {
  const ek_fully_connected_s8 *layer = (const ek_fully_connected_s8 *)layer_;
  const int8_t *in = (const int8_t *)rows[0];
  int8_t *out = (int8_t *)output;
  int32_t *sums = (int32_t *)scratch;
  const int32_t part = layer->input_channels / layer->rows;
  for (int32_t c = 0; c < layer->output_channels; c++) {
    const int8_t *w = layer->weights + c * layer->input_channels + region->row * part;
    int32_t sum = region->row == 0 ? layer->bias[c] : sums[c];
    for (int32_t i = 0; i < part; i++) {
      sum += (in[i] - layer->input_zero_point) * w[i];
    }
    sums[c] = sum;
    if (region->row == layer->rows - 1) {
      const int32_t scaled = ek_scale(sum, layer->multipliers[c], layer->shifts[c]);
      out[c] =
          (int8_t)ek_offset_clamp(scaled, layer->output_zero_point, layer->minimum, layer->maximum);
    }
  }
}
