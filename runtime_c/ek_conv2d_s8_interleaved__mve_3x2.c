/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_conv2d_s8_interleaved.h"
#include "ek_mve_gather.h"
#include "ek_mve_matrix.h"

enum { TILE = 3, GROUP = 4 };

static int32_t at_most(int32_t value, int32_t limit) { return value < limit ? value : limit; }

/* Taps from position x on that are all inside the map or all outside of it. */
static int32_t run_of_taps(int32_t x, int32_t input_width, int32_t taps_left) {
  if (x < 0) {
    return at_most(-x, taps_left);
  }
  return x < input_width ? at_most(input_width - x, taps_left) : taps_left;
}

/* The window of one pixel: [kernel_height][kernel_width][channels of the group]. patch is ready for
 * all taps together, which the pixels have inside the map whose first tap is not beyond last. */
static void gather_window(const ek_conv2d_s8_interleaved *layer, ek_mve_patch *patch,
                          int32_t column, int32_t first_channel, int32_t last) {
  const int32_t first = column * layer->stride_width - layer->pad_left;
  if (first >= 0 && first <= last) {
    patch->offset = first * layer->input_channels;
    ek_mve_gather(patch);
    return;
  }
  const int32_t channels = layer->input_channels / layer->groups;
  const int adjacent = layer->dilation_width == 1 && layer->groups == 1;
  ek_mve_patch part = *patch;
  for (int32_t tap = 0; tap < layer->kernel_width;) {
    const int32_t x = first + tap * layer->dilation_width;
    const int32_t taps =
        adjacent ? run_of_taps(x, layer->input_width, layer->kernel_width - tap) : 1;
    part.bytes = taps * channels;
    if (x < 0 || x >= layer->input_width) {
      ek_mve_fill(&part);
    } else {
      part.offset = x * layer->input_channels + first_channel;
      ek_mve_gather(&part);
    }
    part.to += part.bytes;
    tap += taps;
  }
}

/* Up to 3 pixels of the channels of one group, or of a block of the channels of the only one. */
static void run_group(const ek_conv2d_s8_interleaved *layer, const ek_region *region,
                      ek_mve_pixels *pixels, int32_t group) {
  const int32_t depth =
      layer->kernel_height * layer->kernel_width * (layer->input_channels / layer->groups);
  const int32_t outputs = layer->output_channels / layer->groups;
  const int32_t quads = (outputs + GROUP - 1) / GROUP * group;
  const ek_mve_matrix matrix = {layer->weights + quads * GROUP * ek_mve_channel_bytes(depth),
                                layer->parameters +
                                    quads * ek_mve_parameter_words(layer->is_general),
                                depth,
                                layer->minimum,
                                layer->maximum,
                                layer->output_zero_point,
                                layer->is_general};
  const int32_t begin = layer->groups == 1 ? region->channel_begin : 0;
  const int32_t end = layer->groups == 1 ? region->channel_end : outputs;
  ek_mve_matrix_run(&matrix, pixels, begin, end);
  pixels->output += outputs;
}

void ek_conv2d_s8_interleaved__mve_3x2(const void *layer_, const void *const *rows, void *output,
                                       const ek_region *region, void *scratch) {
  const ek_conv2d_s8_interleaved *layer = (const ek_conv2d_s8_interleaved *)layer_;
  const int32_t output_bytes = region->channel_end - region->channel_begin;
  const int32_t channels = layer->input_channels / layer->groups;
  const int32_t row_bytes = layer->kernel_width * channels;
  const int32_t window_bytes = ek_mve_channel_bytes(layer->kernel_height * row_bytes);
  const int adjacent = layer->dilation_width == 1 && layer->groups == 1;
  const int32_t last = adjacent ? layer->input_width - layer->kernel_width : -1;
  ek_mve_patch patch = {(int8_t *)scratch, rows,      layer->kernel_height,   0,
                        row_bytes,         row_bytes, layer->input_zero_point};
  for (int32_t column = region->column_begin; column < region->column_end; column += TILE) {
    const int32_t count = at_most(region->column_end - column, TILE);
    ek_mve_pixels pixels = {(const int8_t *)scratch, (int8_t *)output + column * output_bytes,
                            window_bytes, output_bytes, count};
    for (int32_t group = 0; group < layer->groups; group++) {
      patch.to = (int8_t *)scratch;
      for (int32_t pixel = column; pixel < column + count; pixel++) {
        gather_window(layer, &patch, pixel, group * channels, last);
        patch.to += window_bytes;
      }
      run_group(layer, region, &pixels, group);
    }
  }
}
