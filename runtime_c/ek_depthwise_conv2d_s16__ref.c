/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_depthwise_conv2d_s16.h"
#include "ek_requantize.h"
#include "ek_requantize64.h"

static int64_t dot(const ek_depthwise_conv2d_s16 *layer, const void *const *rows, int32_t column,
                   int32_t channel) {
  const int32_t output_channels = layer->input_channels * layer->channel_multiplier;
  const int32_t input_channel = channel / layer->channel_multiplier;
  int64_t sum = 0;
  for (int32_t ky = 0; ky < layer->kernel_height; ky++) {
    for (int32_t kx = 0; kx < layer->kernel_width; kx++) {
      const int32_t x = column * layer->stride_width - layer->pad_left + kx * layer->dilation_width;
      if (rows[ky] == NULL || x < 0 || x >= layer->input_width) {
        continue;
      }
      const int16_t *in = (const int16_t *)rows[ky] + x * layer->input_channels;
      const int8_t *w = layer->weights + (ky * layer->kernel_width + kx) * output_channels;
      sum += in[input_channel] * w[channel];
    }
  }
  return sum;
}

void ek_depthwise_conv2d_s16__ref(const void *layer_, const void *const *rows, void *output,
                                  const ek_region *region, void *scratch) {
  const ek_depthwise_conv2d_s16 *layer = (const ek_depthwise_conv2d_s16 *)layer_;
  const int32_t output_channels = layer->input_channels * layer->channel_multiplier;
  (void)scratch;
  for (int32_t column = region->column_begin; column < region->column_end; column++) {
    int16_t *out = (int16_t *)output + column * output_channels;
    for (int32_t c = 0; c < output_channels; c++) {
      const int64_t sum = layer->bias[c] + dot(layer, rows, column, c);
      const int32_t scaled = ek_scale64(sum, layer->multipliers[c], layer->shifts[c]);
      out[c] = (int16_t)ek_clamp(scaled, layer->minimum, layer->maximum);
    }
  }
}
