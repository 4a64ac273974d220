/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_requantize.h"
#include "ek_transposed_conv2d_s8.h"

/* The input column at a position, -1 where there is none. */
static int32_t column_at(const ek_transposed_conv2d_s8 *layer, int32_t position) {
  const int32_t column = position / layer->upsampling_width;
  const int inside = position >= 0 && column < layer->input_width;
  return inside && position % layer->upsampling_width == 0 ? column : -1;
}

static int32_t dot(const ek_transposed_conv2d_s8 *layer, const void *const *rows, int32_t column,
                   int32_t channel) {
  const int32_t group_inputs = layer->input_channels / layer->groups;
  const int32_t group = channel / (layer->output_channels / layer->groups);
  const int8_t *w = layer->weights + (size_t)(channel * layer->kernel_height) *
                                         (size_t)(layer->kernel_width * group_inputs);
  int32_t sum = 0;
  for (int32_t ky = 0; ky < layer->kernel_height; ky++) {
    for (int32_t kx = 0; kx < layer->kernel_width; kx++, w += group_inputs) {
      const int32_t x = column_at(layer, column - layer->pad_left + kx * layer->dilation_width);
      if (rows[ky] == NULL || x < 0) {
        continue;
      }
      const int8_t *in =
          (const int8_t *)rows[ky] + (x * layer->input_channels + group * group_inputs);
      for (int32_t i = 0; i < group_inputs; i++) {
        sum += (in[i] - layer->input_zero_point) * w[i];
      }
    }
  }
  return sum;
}

void ek_transposed_conv2d_s8__ref(const void *layer_, const void *const *rows, void *output,
                                  const ek_region *region, void *scratch) {
  const ek_transposed_conv2d_s8 *layer = (const ek_transposed_conv2d_s8 *)layer_;
  (void)scratch;
  for (int32_t column = region->column_begin; column < region->column_end; column++) {
    int8_t *out = (int8_t *)output + column * layer->output_channels;
    for (int32_t c = 0; c < layer->output_channels; c++) {
      const int32_t sum = layer->bias[c] + dot(layer, rows, column, c);
      const int32_t scaled = ek_scale(sum, layer->multipliers[c], layer->shifts[c]);
      out[c] =
          (int8_t)ek_offset_clamp(scaled, layer->output_zero_point, layer->minimum, layer->maximum);
    }
  }
}
