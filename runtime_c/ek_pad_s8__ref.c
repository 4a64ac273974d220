/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_pad_s8.h"

static int8_t padded(const ek_pad_s8 *layer, const int8_t *input, int32_t y, int32_t x, int32_t c) {
  if (y < 0 || y >= layer->input_height || x < 0 || x >= layer->input_width || c < 0 ||
      c >= layer->input_channels) {
    return (int8_t)layer->value;
  }
  return input[(y * layer->input_width + x) * layer->input_channels + c];
}

void ek_pad_s8__ref(const void *layer_, const void *const *inputs, void *output, void *scratch) {
  const ek_pad_s8 *layer = layer_;
  int8_t *out = output;
  (void)scratch;
  for (int32_t y = 0; y < layer->output_height; y++) {
    for (int32_t x = 0; x < layer->output_width; x++) {
      for (int32_t c = 0; c < layer->output_channels; c++) {
        *out++ = padded(layer, inputs[0], y - layer->rows_before, x - layer->columns_before,
                        c - layer->channels_before);
      }
    }
  }
}
