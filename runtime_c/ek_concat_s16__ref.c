/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_concat_s16.h"
#include "ek_requantize.h"

void ek_concat_s16__ref(const void *layer_, const void *const *inputs, void *output,
                        void *scratch) {
  const ek_concat_s16 *layer = layer_;
  int16_t *out = output;
  (void)scratch;
  for (int32_t turn = 0; turn < layer->turns; turn++) {
    for (int32_t input = 0; input < layer->input_count; input++) {
      const int32_t elements = layer->block_elements[input];
      const int16_t *in = (const int16_t *)inputs[input] + turn * elements;
      for (int32_t i = 0; i < elements; i++) {
        const int32_t scaled = ek_scale(in[i], layer->multipliers[input], layer->shifts[input]);
        *out++ = (int16_t)ek_clamp(scaled, -32768, 32767);
      }
    }
  }
}
