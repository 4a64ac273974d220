/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_resize_bilinear_s16.h"

enum { ONE = 1024 };

/* The sum along one row, times 1024. */
static int64_t along_row(const ek_resize_bilinear_s16 *layer, const int16_t *row, int32_t position,
                         int32_t channel) {
  const int32_t left = position / ONE;
  const int32_t right = left + 1 < layer->input_width ? left + 1 : left;
  const int32_t fraction = position % ONE;
  return (int64_t)row[left * layer->channels + channel] * (ONE - fraction) +
         (int64_t)row[right * layer->channels + channel] * fraction;
}

static int16_t interpolated(const ek_resize_bilinear_s16 *layer, const int16_t *input, int32_t y,
                            int32_t x, int32_t channel) {
  const int32_t row_size = layer->input_width * layer->channels;
  const int32_t upper = layer->rows[y] / ONE;
  const int32_t lower = upper + 1 < layer->input_height ? upper + 1 : upper;
  const int32_t fraction = layer->rows[y] % ONE;
  const int32_t column = layer->columns[x];
  const int64_t sum =
      along_row(layer, input + upper * row_size, column, channel) * (ONE - fraction) +
      along_row(layer, input + lower * row_size, column, channel) * fraction;
  const int32_t half = ONE * ONE / 2;
  return (int16_t)((sum > 0 ? sum + half : sum - half) / (ONE * ONE));
}

void ek_resize_bilinear_s16__ref(const void *layer_, const void *const *inputs, void *output,
                                 void *scratch) {
  const ek_resize_bilinear_s16 *layer = layer_;
  int16_t *out = output;
  (void)scratch;
  for (int32_t y = 0; y < layer->output_height; y++) {
    for (int32_t x = 0; x < layer->output_width; x++) {
      for (int32_t c = 0; c < layer->channels; c++) {
        *out++ = interpolated(layer, inputs[0], y, x, c);
      }
    }
  }
}
