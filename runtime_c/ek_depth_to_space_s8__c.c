/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_depth_to_space_s8.h"

#include <string.h>

void ek_depth_to_space_s8__c(const void *layer_, const void *const *rows, void *output,
                             const ek_region *region, void *scratch) {
  const ek_depth_to_space_s8 *layer = (const ek_depth_to_space_s8 *)layer_;
  const int32_t block = layer->block, channels = layer->channels;
  (void)scratch;
  for (int32_t x = region->column_begin; x < region->column_end; x++) {
    const int32_t place = (region->row % block) * block + x % block;
    const int8_t *in = (const int8_t *)rows[0] + x / block * block * block * channels;
    memcpy((int8_t *)output + x * channels, in + place * layer->place_stride, (size_t)channels);
  }
}
