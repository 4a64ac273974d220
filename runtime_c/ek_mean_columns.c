/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_mean_columns.h"
#include "ek_pool_window.h"

#include <string.h>

enum { BLOCK = 16 };

int8_t ek_mean_of_sum(const ek_mean_s8 *layer, int32_t sum) {
  const int32_t mean = ek_scale(sum, layer->multiplier, layer->shift);
  return (int8_t)ek_offset_clamp(mean, layer->output_zero_point, -128, 127);
}

void ek_mean_columns(const ek_mean_s8 *layer, const int8_t *in, int8_t *output) {
  const int32_t zeros = layer->count * layer->input_zero_point;
  const void *const row = in;
  ek_pool_window window = {&row, 1, 0, layer->count, layer->inner};
  for (int32_t i = 0; i < layer->inner; i += BLOCK) {
    const int32_t left = layer->inner - i;
    const int32_t channels = left < BLOCK ? left : (int32_t)BLOCK;
    int32_t sums[BLOCK];
    memset(sums, 0, sizeof sums);
    window.first_byte = i;
    ek_pool_add(&window, channels, sums);
    for (int32_t c = 0; c < channels; c++) {
      output[i + c] = ek_mean_of_sum(layer, sums[c] - zeros);
    }
  }
}
