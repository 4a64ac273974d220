/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_max_pool2d_s8.h"
#include "ek_requantize.h"

void ek_max_pool2d_s8__ref_accumulating(const void *layer_, const void *const *rows, void *output,
                                        const ek_region *region, void *scratch) {
  const ek_max_pool2d_s8 *layer = (const ek_max_pool2d_s8 *)layer_;
  const int8_t *in = (const int8_t *)rows[0];
  int8_t *out = (int8_t *)output;
  int8_t *largest = (int8_t *)scratch;
  const int32_t last_tap = (layer->kernel_width - 1) * layer->dilation_width;
  for (int32_t x = 0; x + last_tap < layer->input_width; x += layer->stride_width) {
    for (int32_t c = 0; c < layer->channels; c++) {
      int8_t best = region->row == 0 ? INT8_MIN : *largest;
      for (int32_t tap = 0; tap <= last_tap; tap += layer->dilation_width) {
        const int8_t value = in[(x + tap) * layer->channels + c];
        best = value > best ? value : best;
      }
      *largest++ = best;
      if (region->row == layer->kernel_height - 1) {
        *out++ = (int8_t)ek_clamp(best, layer->minimum, layer->maximum);
      }
    }
  }
}
