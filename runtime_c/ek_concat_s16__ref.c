/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_concat_s16.h"
#include "ek_requantize.h"

void ek_concat_s16__ref(const void *layer_, const void *const *inputs, void *output,
                        void *scratch) {
  const ek_concat_s16 *layer = (const ek_concat_s16 *)layer_;
  int16_t *out = (int16_t *)output;
  (void)scratch;
  for (int32_t i = 0; i < layer->input_count; i++) {
    const int16_t *in = (const int16_t *)inputs[i];
    for (int32_t e = 0; e < layer->widths[i]; e++) {
      const int32_t scaled = ek_scale(in[e], layer->multipliers[i], layer->shifts[i]);
      *out++ = (int16_t)ek_clamp(scaled, -32768, 32767);
    }
  }
}
