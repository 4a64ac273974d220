/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_reverse_channels_s8.h"

void ek_reverse_channels_s8__dsp_rgb(const void *layer, const void *const *rows, void *output,
                                     const ek_region *region, void *scratch) {
  const int8_t *in = (const int8_t *)rows[0] + region->column_begin * 3;
  int8_t *out = (int8_t *)output + region->column_begin * 3;
  (void)layer;
  (void)scratch;
  for (int32_t left = region->column_end - region->column_begin; left > 0;
       left--, in += 3, out += 3) {
    const int8_t first = in[0];
    const int8_t second = in[1];
    const int8_t third = in[2];
    out[0] = third;
    out[1] = second;
    out[2] = first;
  }
}
