/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_lookup_row.h"
#include "ek_lookup_s8.h"

void ek_lookup_s8__c(const void *layer_, const void *const *rows, void *output,
                     const ek_region *region, void *scratch) {
  const ek_lookup_s8 *layer = (const ek_lookup_s8 *)layer_;
  const int32_t begin = region->column_begin * layer->channels;
  const int32_t end = region->column_end * layer->channels;
  (void)scratch;
  ek_lookup_row(layer->table, (const int8_t *)rows[0] + begin, (int8_t *)output + begin,
                end - begin);
}
