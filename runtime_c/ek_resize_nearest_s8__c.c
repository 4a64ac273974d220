/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_resize_nearest_s8.h"

#include <string.h>

void ek_resize_nearest_s8__c(const void *layer_, const void *const *rows, void *output,
                             const ek_region *region, void *scratch) {
  const ek_resize_nearest_s8 *layer = (const ek_resize_nearest_s8 *)layer_;
  const int32_t channels = layer->channels;
  (void)scratch;
  for (int32_t x = region->column_begin; x < region->column_end; x++) {
    const int8_t *in = (const int8_t *)rows[0] + layer->columns[x] * channels;
    memcpy((int8_t *)output + x * channels, in, (size_t)channels);
  }
}
