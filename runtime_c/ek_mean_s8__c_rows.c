/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_mean_columns.h"

void ek_mean_s8__c_rows(const void *layer_, const void *const *rows, void *output,
                        const ek_region *region, void *scratch) {
  const ek_mean_s8 *layer = (const ek_mean_s8 *)layer_;
  (void)scratch;
  for (int32_t column = region->column_begin; column < region->column_end; column++) {
    ek_mean_columns(layer, (const int8_t *)rows[0] + column * layer->count * layer->inner,
                    (int8_t *)output + column * layer->inner);
  }
}
