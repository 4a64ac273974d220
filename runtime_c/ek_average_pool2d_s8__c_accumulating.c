/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_average_pool2d_s8.h"
#include "ek_pool_window.h"

#include <string.h>

/* sum / count, halves away from zero */
static int32_t mean_of(int32_t sum, int32_t count) {
  return (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
}

void ek_average_pool2d_s8__c_accumulating(const void *layer_, const void *const *rows, void *output,
                                          const ek_region *region, void *scratch) {
  const ek_average_pool2d_s8 *layer = (const ek_average_pool2d_s8 *)layer_;
  const int32_t channels = layer->channels, step = layer->stride_width;
  const int32_t last_tap = (layer->kernel_width - 1) * layer->dilation_width;
  const int32_t count = layer->kernel_height * layer->kernel_width;
  int32_t *sums = (int32_t *)scratch;
  int8_t *out = (int8_t *)output;
  ek_pool_window window = {rows, 1, 0, layer->kernel_width, layer->dilation_width * channels};
  for (int32_t x = 0; x + last_tap < layer->input_width; x += step, sums += channels) {
    window.first_byte = x * channels;
    if (region->row == 0) {
      memset(sums, 0, (size_t)channels * sizeof *sums);
    }
    ek_pool_add(&window, channels, sums);
    if (region->row == layer->kernel_height - 1) {
      for (int32_t c = 0; c < channels; c++) {
        *out++ = (int8_t)ek_clamp(mean_of(sums[c], count), layer->minimum, layer->maximum);
      }
    }
  }
}
