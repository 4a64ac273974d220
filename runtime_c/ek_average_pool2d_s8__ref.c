/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_average_pool2d_s8.h"
#include "ek_requantize.h"

/* row_channel: where the rows have the channel, among the row_channels of the block. */
static int32_t average(const ek_average_pool2d_s8 *layer, const void *const *rows, int32_t column,
                       int32_t row_channel, int32_t row_channels) {
  int32_t sum = 0;
  int32_t count = 0;
  for (int32_t ky = 0; ky < layer->kernel_height; ky++) {
    for (int32_t kx = 0; kx < layer->kernel_width; kx++) {
      const int32_t x = column * layer->stride_width - layer->pad_left + kx * layer->dilation_width;
      if (rows[ky] != NULL && x >= 0 && x < layer->input_width) {
        sum += ((const int8_t *)rows[ky])[x * row_channels + row_channel];
        count++;
      } else if (layer->count_padding) {
        sum += layer->zero_point;
        count++;
      }
    }
  }
  return (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
}

void ek_average_pool2d_s8__ref(const void *layer_, const void *const *rows, void *output,
                               const ek_region *region, void *scratch) {
  const ek_average_pool2d_s8 *layer = (const ek_average_pool2d_s8 *)layer_;
  const int32_t row_channels = region->channel_end - region->channel_begin;
  (void)scratch;
  for (int32_t column = region->column_begin; column < region->column_end; column++) {
    int8_t *out = (int8_t *)output + column * layer->channels + region->channel_begin;
    for (int32_t c = 0; c < row_channels; c++) {
      const int32_t mean = average(layer, rows, column, c, row_channels);
      out[c] = (int8_t)ek_clamp(mean, layer->minimum, layer->maximum);
    }
  }
}
