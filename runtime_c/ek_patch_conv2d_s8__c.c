/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dot_channels.h"
#include "ek_patch_conv2d_s8.h"

#include <string.h>

/* Taps of one kernel row that lie side by side in the map. */
static void gather_run(const ek_patch_conv2d_s8 *layer, const int8_t *row, int32_t x,
                       int32_t *patch_bytes, int8_t *patch) {
  const int32_t channels = layer->input_channels;
  const int32_t before = x < 0 ? (-x < layer->kernel_width ? -x : layer->kernel_width) : 0;
  const int32_t room = layer->input_width - x;
  const int32_t end = room < layer->kernel_width ? room : layer->kernel_width;
  const int32_t inside = end > before ? end - before : 0;
  const int32_t after = layer->kernel_width - before - inside;
  memset(patch, (int)layer->input_zero_point, (size_t)(before * channels));
  if (inside > 0) {
    memcpy(patch + before * channels, row + (x + before) * channels, (size_t)(inside * channels));
  }
  memset(patch + (before + inside) * channels, (int)layer->input_zero_point,
         (size_t)(after * channels));
  *patch_bytes += layer->kernel_width * channels;
}

/* Tap by tap, those channels that a group has. */
static void gather_taps(const ek_patch_conv2d_s8 *layer, const int8_t *row, int32_t x,
                        int32_t group, int32_t *patch_bytes, int8_t *patch) {
  const int32_t bytes = layer->input_channels / layer->groups;
  for (int32_t kx = 0; kx < layer->kernel_width; kx++, x += layer->dilation_width) {
    if (x >= 0 && x < layer->input_width) {
      memcpy(patch, row + x * layer->input_channels + group * bytes, (size_t)bytes);
    } else {
      memset(patch, (int)layer->input_zero_point, (size_t)bytes);
    }
    patch += bytes;
    *patch_bytes += bytes;
  }
}

/* The taps of a pixel, one kernel row after the other. */
static void gather(const ek_patch_conv2d_s8 *layer, const void *const *rows, int32_t column,
                   int32_t group, int8_t *patch) {
  const int32_t x = column * layer->stride_width - layer->pad_left;
  const int32_t row_bytes = layer->kernel_width * (layer->input_channels / layer->groups);
  int32_t filled = 0;
  for (int32_t ky = 0; ky < layer->kernel_height; ky++) {
    const int8_t *row = (const int8_t *)rows[ky];
    if (row == NULL) {
      memset(patch + filled, (int)layer->input_zero_point, (size_t)row_bytes);
      filled += row_bytes;
    } else if (layer->dilation_width == 1 && layer->groups == 1) {
      gather_run(layer, row, x, &filled, patch + filled);
    } else {
      gather_taps(layer, row, x, group, &filled, patch + filled);
    }
  }
}

void ek_patch_conv2d_s8__c(const void *layer_, const void *const *rows, void *output,
                           const ek_region *region, void *scratch) {
  const ek_patch_conv2d_s8 *layer = (const ek_patch_conv2d_s8 *)layer_;
  const int32_t taps =
      layer->kernel_height * layer->kernel_width * (layer->input_channels / layer->groups);
  const ek_dot_channels channels = {
      layer->weights, layer->parameters, taps, {layer->finish, layer->raise, layer->lower}};
  const int32_t block = region->channel_end - region->channel_begin;
  const int32_t group_outputs = block / layer->groups;
  int8_t *first = (int8_t *)scratch, *second = first + taps;
  int8_t *out = (int8_t *)output + region->column_begin * block;
  for (int32_t column = region->column_begin; column < region->column_end; column += 2) {
    for (int32_t group = 0; group < layer->groups; group++) {
      const int32_t begin = region->channel_begin + group * group_outputs;
      int8_t *group_out = out + group * group_outputs;
      gather(layer, rows, column, group, first);
      if (column + 1 < region->column_end) {
        gather(layer, rows, column + 1, group, second);
        ek_dot_pixels(&channels, first, second, begin, begin + group_outputs, group_out, block);
      } else {
        ek_dot_pixel(&channels, first, begin, begin + group_outputs, group_out);
      }
    }
    out += 2 * block;
  }
}
