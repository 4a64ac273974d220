/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_mirror_pad_s8.h"

void ek_mirror_pad_s8__ref(const void *layer_, const void *const *inputs, void *output,
                           void *scratch) {
  const ek_mirror_pad_s8 *layer = layer_;
  int8_t *out = output;
  (void)scratch;
  for (int32_t y = 0; y < layer->output_height; y++) {
    for (int32_t x = 0; x < layer->output_width; x++) {
      const int32_t pixel = layer->rows[y] * layer->input_width + layer->columns[x];
      const int8_t *in = (const int8_t *)inputs[0] + pixel * layer->input_channels;
      for (int32_t c = 0; c < layer->output_channels; c++) {
        *out++ = in[layer->channels[c]];
      }
    }
  }
}
