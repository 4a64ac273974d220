/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_resize_nearest_s16.h"

void ek_resize_nearest_s16__ref(const void *layer_, const void *const *inputs, void *output,
                                void *scratch) {
  const ek_resize_nearest_s16 *layer = layer_;
  int16_t *out = output;
  (void)scratch;
  for (int32_t y = 0; y < layer->output_height; y++) {
    for (int32_t x = 0; x < layer->output_width; x++) {
      const int32_t pixel = layer->rows[y] * layer->input_width + layer->columns[x];
      const int16_t *in = (const int16_t *)inputs[0] + pixel * layer->channels;
      for (int32_t c = 0; c < layer->channels; c++) {
        *out++ = in[c];
      }
    }
  }
}
