/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_space_to_depth_s8.h"

#include <string.h>

void ek_space_to_depth_s8__c(const void *layer_, const void *const *rows, void *output,
                             const ek_region *region, void *scratch) {
  const ek_space_to_depth_s8 *layer = (const ek_space_to_depth_s8 *)layer_;
  const int32_t run = layer->block * layer->channels; /* of an input row, side by side in both */
  (void)scratch;
  for (int32_t column = region->column_begin; column < region->column_end; column++) {
    int8_t *out = (int8_t *)output + column * layer->block * run;
    for (int32_t i = 0; i < layer->block; i++) {
      memcpy(out + i * run, (const int8_t *)rows[i] + column * run, (size_t)run);
    }
  }
}
