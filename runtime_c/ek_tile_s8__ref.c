/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_tile_s8.h"

void ek_tile_s8__ref(const void *layer_, const void *const *inputs, void *output, void *scratch) {
  const ek_tile_s8 *layer = layer_;
  const int8_t *in = inputs[0];
  int8_t *out = output;
  (void)scratch;
  for (int32_t y = 0; y < layer->output_height; y++) {
    for (int32_t x = 0; x < layer->output_width; x++) {
      const int32_t pixel = y % layer->height * layer->width + x % layer->width;
      for (int32_t c = 0; c < layer->output_channels; c++) {
        *out++ = in[pixel * layer->channels + c % layer->channels];
      }
    }
  }
}
