/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_linear_row.h"

/* floor(weight * x / 2^8) */
static int32_t weighted(int32_t weight, int32_t x) {
  return (weight >> 8) * x + (((weight & 0xff) * x) >> 8);
}

/* A repeated operand becomes a part of the offset, and any readable elements stand for it. */
static void run(const ek_linear_sum_s8 *layer, const int8_t *first, const int8_t *second,
                int8_t *output, int32_t count, int32_t is_dense) {
  ek_linear_weights weights = {layer->first_weight, layer->second_weight, layer->offset};
  if (!is_dense && layer->first_channel_stride == 0) {
    weights.offset += weighted(weights.first, *first);
    weights.first = 0;
    first = second;
  } else if (!is_dense && layer->second_channel_stride == 0) {
    weights.offset += weighted(weights.second, *second);
    weights.second = 0;
    second = first;
  }
  ek_linear_row(layer, weights, first, second, output, count);
}

void ek_linear_sum_s8__c(const void *layer_, const void *const *rows, void *output,
                         const ek_region *region, void *scratch) {
  const ek_linear_sum_s8 *layer = (const ek_linear_sum_s8 *)layer_;
  const int32_t channels = layer->channels;
  const int32_t columns = region->column_end - region->column_begin;
  const int32_t is_dense =
      layer->first_column_stride == channels && layer->second_column_stride == channels;
  const int8_t *first = (const int8_t *)rows[0] + region->column_begin * layer->first_column_stride;
  const int8_t *second =
      (const int8_t *)rows[1] + region->column_begin * layer->second_column_stride;
  int8_t *out = (int8_t *)output + region->column_begin * channels;
  (void)scratch;
  if (is_dense) {
    run(layer, first, second, out, columns * channels, is_dense);
    return;
  }
  for (int32_t column = 0; column < columns; column++) {
    run(layer, first, second, out, channels, is_dense);
    first += layer->first_column_stride;
    second += layer->second_column_stride;
    out += channels;
  }
}
