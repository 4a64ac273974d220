/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_max_pool2d_s16.h"
#include "ek_requantize.h"

static int32_t largest(const ek_max_pool2d_s16 *layer, const void *const *rows, int32_t column,
                       int32_t channel) {
  int32_t best = -32768;
  for (int32_t ky = 0; ky < layer->kernel_height; ky++) {
    for (int32_t kx = 0; kx < layer->kernel_width; kx++) {
      const int32_t x = column * layer->stride_width - layer->pad_left + kx * layer->dilation_width;
      if (rows[ky] == NULL || x < 0 || x >= layer->input_width) {
        continue;
      }
      const int32_t value = ((const int16_t *)rows[ky])[x * layer->channels + channel];
      best = value > best ? value : best;
    }
  }
  return best;
}

void ek_max_pool2d_s16__ref(const void *layer_, const void *const *rows, void *output,
                            const ek_region *region, void *scratch) {
  const ek_max_pool2d_s16 *layer = (const ek_max_pool2d_s16 *)layer_;
  (void)scratch;
  for (int32_t column = region->column_begin; column < region->column_end; column++) {
    int16_t *out = (int16_t *)output + column * layer->channels;
    for (int32_t c = 0; c < layer->channels; c++) {
      const int32_t value = largest(layer, rows, column, c);
      out[c] = (int16_t)ek_clamp(value, layer->minimum, layer->maximum);
    }
  }
}
