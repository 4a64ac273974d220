/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_max_pool2d_s8.h"
#include "ek_pool_window.h"

#include <string.h>

void ek_max_pool2d_s8__c_accumulating(const void *layer_, const void *const *rows, void *output,
                                      const ek_region *region, void *scratch) {
  const ek_max_pool2d_s8 *layer = (const ek_max_pool2d_s8 *)layer_;
  const int32_t channels = layer->channels, step = layer->stride_width;
  const int32_t last_tap = (layer->kernel_width - 1) * layer->dilation_width;
  int8_t *largest = (int8_t *)scratch;
  int8_t *out = (int8_t *)output;
  ek_pool_window window = {rows, 1, 0, layer->kernel_width, layer->dilation_width * channels};
  for (int32_t x = 0; x + last_tap < layer->input_width; x += step, largest += channels) {
    window.first_byte = x * channels;
    ek_pool_largest(&window, channels, region->row == 0 ? NULL : largest, largest);
    if (region->row == layer->kernel_height - 1) {
      memcpy(out, largest, (size_t)channels);
      ek_clamp_row(out, channels, layer->minimum, layer->maximum);
      out += channels;
    }
  }
}
