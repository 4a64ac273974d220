/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_depthwise_conv2d_s8_interleaved.h"
#include "ek_mve_depthwise.h"

#include <string.h>

enum { LANES = 16, PARAMETER_WORDS = 48, NINE = 9 };

/* The inputs of every tap of a pixel; padding points at zero points. */
static void find_taps(const ek_depthwise_conv2d_s8_interleaved *layer, const void *const *rows,
                      int32_t column, int32_t row_channels, const int8_t *padding,
                      const int8_t **taps) {
  const int32_t first = column * layer->stride_width - layer->pad_left;
  const int32_t step = layer->dilation_width * row_channels;
  const int8_t **tap = taps;
  for (int32_t ky = 0; ky < layer->kernel_height; ky++) {
    const int8_t *row = (const int8_t *)rows[ky];
    int32_t x = first;
    int32_t offset = first * row_channels;
    for (int32_t kx = 0; kx < layer->kernel_width; kx++) {
      *tap++ = row == NULL || x < 0 || x >= layer->input_width ? padding : row + offset;
      x += layer->dilation_width;
      offset += step;
    }
  }
  while (tap <= taps + 4 * layer->quads) {
    *tap++ = taps[0]; /* some inputs, for weights of 0 */
  }
}

/* How many of up to limit pixels need not find their taps anew, because none of them is padding. */
static int32_t pixels_together(const ek_depthwise_conv2d_s8_interleaved *layer, int32_t column,
                               int32_t limit) {
  const int32_t first = column * layer->stride_width - layer->pad_left;
  const int32_t extent = (layer->kernel_width - 1) * layer->dilation_width + 1;
  const int32_t room = layer->input_width - extent - first;
  if (first < 0 || room < 0) {
    return 1;
  }
  const int32_t pixels = room / layer->stride_width + 1;
  return pixels < limit ? pixels : limit;
}

static int has_padding(const void *const *rows, int32_t count) {
  int found = 0;
  for (int32_t row = 0; row < count; row++) {
    found |= rows[row] == NULL;
  }
  return found;
}

void ek_depthwise_conv2d_s8_interleaved__mve(const void *layer_, const void *const *rows,
                                             void *output, const ek_region *region, void *scratch) {
  const ek_depthwise_conv2d_s8_interleaved *layer =
      (const ek_depthwise_conv2d_s8_interleaved *)layer_;
  const int32_t group = region->channel_begin / LANES;
  const int32_t tap_count = 1 + 4 * layer->quads;
  const int8_t *weights = layer->weights + group * tap_count * LANES;
  const int32_t *parameters = layer->parameters + group * PARAMETER_WORDS;
  const int alone = has_padding(rows, layer->kernel_height);
  const int8_t *taps[EK_MVE_DEPTHWISE_TAPS];
  ek_mve_depthwise_row row;
  row.channels = region->channel_end - region->channel_begin;
  row.tap_step = layer->stride_width * row.channels;
  row.output_step = layer->channels;
  row.minimum = layer->minimum;
  row.maximum = layer->maximum;
  row.zero_point = layer->output_zero_point;
  row.output = (int8_t *)output + region->column_begin * layer->channels + region->channel_begin;
  memset(scratch, layer->input_zero_point, (size_t)row.channels);
  for (int32_t column = region->column_begin; column < region->column_end; column += row.pixels) {
    row.pixels = alone ? 1 : pixels_together(layer, column, region->column_end - column);
    find_taps(layer, rows, column, row.channels, (const int8_t *)scratch, taps);
    if (tap_count == NINE) {
      ek_mve_depthwise_9(taps, weights, parameters, layer->quads, row);
    } else {
      ek_mve_depthwise(taps, weights, parameters, layer->quads, row);
    }
    row.output += row.pixels * layer->channels;
  }
}
