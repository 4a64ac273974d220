/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_block_conv2d_s8.h"
#include "ek_block_dot.h"
#include "ek_requantize.h"

void ek_block_conv2d_s8__ref(const void *layer_, const void *const *rows, void *output,
                             const ek_region *region, void *scratch) {
  const ek_block_conv2d_s8 *layer = (const ek_block_conv2d_s8 *)layer_;
  const int32_t inputs = layer->input_channels, outputs = layer->output_channels;
  int32_t *sums = (int32_t *)scratch;
  for (int32_t x = region->column_begin; x < region->column_end; x++) {
    const int8_t *pixel = (const int8_t *)rows[0] + x * inputs;
    const int32_t *before = (const int32_t *)rows[1] + x * outputs;
    int8_t *out = (int8_t *)output + x * outputs;
    ek_block_dot(pixel, layer->weights, inputs, outputs, before, sums);
    for (int32_t c = 0; c < outputs; c++) {
      const int32_t sum = (int32_t)((uint32_t)sums[c] + (uint32_t)layer->bias[c]);
      const int32_t scaled = ek_scale(sum, layer->multipliers[c], layer->shifts[c]);
      out[c] =
          (int8_t)ek_offset_clamp(scaled, layer->output_zero_point, layer->minimum, layer->maximum);
    }
  }
}
