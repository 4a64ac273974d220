/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_depthwise_conv2d_s8.h"
#include "ek_requantize.h"

/* row_channel: where the rows have the input channel, among the row_channels of the block. */
static int32_t dot(const ek_depthwise_conv2d_s8 *layer, const void *const *rows, int32_t column,
                   int32_t channel, int32_t row_channel, int32_t row_channels) {
  const int32_t output_channels = layer->input_channels * layer->channel_multiplier;
  const int8_t *w = layer->weights;
  int32_t sum = 0;
  for (int32_t ky = 0; ky < layer->kernel_height; ky++) {
    for (int32_t kx = 0; kx < layer->kernel_width; kx++, w += output_channels) {
      const int32_t x = column * layer->stride_width - layer->pad_left + kx * layer->dilation_width;
      if (rows[ky] == NULL || x < 0 || x >= layer->input_width) {
        continue;
      }
      const int8_t *in = (const int8_t *)rows[ky] + x * row_channels;
      sum += (in[row_channel] - layer->input_zero_point) * w[channel];
    }
  }
  return sum;
}

void ek_depthwise_conv2d_s8__ref(const void *layer_, const void *const *rows, void *output,
                                 const ek_region *region, void *scratch) {
  const ek_depthwise_conv2d_s8 *layer = (const ek_depthwise_conv2d_s8 *)layer_;
  const int32_t output_channels = layer->input_channels * layer->channel_multiplier;
  const int32_t channel_begin = region->channel_begin;
  const int32_t channel_end = region->channel_end;
  const int32_t row_channels = (channel_end - channel_begin) / layer->channel_multiplier;
  (void)scratch;
  for (int32_t column = region->column_begin; column < region->column_end; column++) {
    int8_t *out = (int8_t *)output + column * output_channels;
    for (int32_t c = channel_begin; c < channel_end; c++) {
      const int32_t row_channel = (c - channel_begin) / layer->channel_multiplier;
      const int32_t sum = layer->bias[c] + dot(layer, rows, column, c, row_channel, row_channels);
      const int32_t scaled = ek_scale(sum, layer->multipliers[c], layer->shifts[c]);
      out[c] =
          (int8_t)ek_offset_clamp(scaled, layer->output_zero_point, layer->minimum, layer->maximum);
    }
  }
}
