/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_max_pool2d_s8.h"
#include "ek_pool_window.h"

void ek_max_pool2d_s8__c(const void *layer_, const void *const *rows, void *output,
                         const ek_region *region, void *scratch) {
  const ek_max_pool2d_s8 *layer = (const ek_max_pool2d_s8 *)layer_;
  const ek_pool_axis axis = {layer->input_width, layer->kernel_width, layer->stride_width,
                             layer->dilation_width, layer->pad_left};
  const int32_t channels = region->channel_end - region->channel_begin;
  const int32_t is_clamped = layer->minimum > -128 || layer->maximum < 127;
  int8_t *out = (int8_t *)output + region->column_begin * layer->channels + region->channel_begin;
  (void)scratch;
  for (int32_t x = region->column_begin; x < region->column_end; x++, out += layer->channels) {
    const ek_pool_window window = ek_pool_window_at(&axis, rows, layer->kernel_height, x, channels);
    ek_pool_largest(&window, channels, NULL, out);
    if (is_clamped) {
      ek_clamp_row(out, channels, layer->minimum, layer->maximum);
    }
  }
}
