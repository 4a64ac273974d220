/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_extremum_row.h"
#include "ek_maximum_s8.h"

void ek_maximum_s8__c(const void *layer_, const void *const *rows, void *output,
                      const ek_region *region, void *scratch) {
  const ek_maximum_s8 *layer = (const ek_maximum_s8 *)layer_;
  const int32_t first_stride = layer->first_column_stride;
  const int32_t second_stride = layer->second_column_stride;
  const int32_t columns = region->column_end - region->column_begin;
  const int8_t *first = (const int8_t *)rows[0] + region->column_begin * first_stride;
  const int8_t *second = (const int8_t *)rows[1] + region->column_begin * second_stride;
  int8_t *out = (int8_t *)output + region->column_begin * layer->channels;
  (void)scratch;
  if (first_stride == layer->channels && second_stride == layer->channels) {
    ek_larger_elements(first, 1, second, 1, out, columns * layer->channels);
    return;
  }
  for (int32_t column = 0; column < columns; column++, out += layer->channels) {
    ek_larger_elements(first, layer->first_channel_stride, second, layer->second_channel_stride,
                       out, layer->channels);
    first += first_stride;
    second += second_stride;
  }
}
