/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_average_pool2d_s16.h"
#include "ek_requantize.h"

static int16_t average(const ek_average_pool2d_s16 *layer, int32_t sum) {
  const int32_t count = layer->kernel_height * layer->kernel_width;
  const int32_t mean = (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
  return (int16_t)ek_clamp(mean, layer->minimum, layer->maximum);
}

void ek_average_pool2d_s16__ref_accumulating(const void *layer_, const void *const *rows,
                                             void *output, const ek_region *region, void *scratch) {
  const ek_average_pool2d_s16 *layer = (const ek_average_pool2d_s16 *)layer_;
  const int16_t *in = (const int16_t *)rows[0];
  int16_t *out = (int16_t *)output;
  int32_t *sums = (int32_t *)scratch;
  const int32_t last_tap = (layer->kernel_width - 1) * layer->dilation_width;
  for (int32_t x = 0; x + last_tap < layer->input_width; x += layer->stride_width) {
    for (int32_t c = 0; c < layer->channels; c++) {
      int32_t sum = region->row == 0 ? 0 : *sums;
      for (int32_t tap = 0; tap <= last_tap; tap += layer->dilation_width) {
        sum += in[(x + tap) * layer->channels + c];
      }
      *sums++ = sum;
      if (region->row == layer->kernel_height - 1) {
        *out++ = average(layer, sum);
      }
    }
  }
}
