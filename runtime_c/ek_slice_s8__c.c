/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_slice_s8.h"

#include <string.h>

void ek_slice_s8__c(const void *layer_, const void *const *rows, void *output,
                    const ek_region *region, void *scratch) {
  const ek_slice_s8 *layer = (const ek_slice_s8 *)layer_;
  const int32_t columns = region->column_end - region->column_begin, channels = layer->channels;
  const int8_t *in =
      (const int8_t *)rows[0] + (layer->first + region->column_begin * layer->column_stride);
  int8_t *out = (int8_t *)output + region->column_begin * channels;
  (void)scratch;
  if (layer->column_stride == channels) {
    memcpy(out, in, (size_t)(columns * channels));
    return;
  }
  for (int32_t x = 0; x < columns; x++) {
    memcpy(out + x * channels, in + x * layer->column_stride, (size_t)channels);
  }
}
