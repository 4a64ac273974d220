/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_concat_s8.h"
#include "ek_requantize.h"

void ek_concat_s8__ref(const void *layer_, const void *const *inputs, void *output, void *scratch) {
  const ek_concat_s8 *layer = layer_;
  int8_t *out = output;
  (void)scratch;
  for (int32_t turn = 0; turn < layer->turns; turn++) {
    for (int32_t input = 0; input < layer->input_count; input++) {
      const int32_t elements = layer->block_elements[input];
      const int8_t *in = (const int8_t *)inputs[input] + turn * elements;
      const int32_t minimum = -128 - layer->output_zero_point;
      const int32_t maximum = 127 - layer->output_zero_point;
      for (int32_t i = 0; i < elements; i++) {
        const int32_t scaled = ek_scale(in[i] - layer->zero_points[input],
                                        layer->multipliers[input], layer->shifts[input]);
        *out++ = (int8_t)(ek_clamp(scaled, minimum, maximum) + layer->output_zero_point);
      }
    }
  }
}
