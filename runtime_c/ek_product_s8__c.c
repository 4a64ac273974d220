/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_product_row.h"

/* One factor for all elements of x, of which zero_point is to be subtracted. */
static void scale_row(const ek_product_s8 *layer, const int8_t *x, int32_t zero_point,
                      int32_t factor, int8_t *output) {
  for (int32_t c = 0; c < layer->channels; c++) {
    output[c] = ek_product_finished(layer, (x[c] - zero_point) * factor);
  }
}

static void run(const ek_product_s8 *layer, const int8_t *first, const int8_t *second,
                int8_t *output) {
  const int32_t first_zero_point = layer->first_zero_point;
  const int32_t second_zero_point = layer->second_zero_point;
  if (layer->first_channel_stride == 0) {
    scale_row(layer, second, second_zero_point, *first - first_zero_point, output);
  } else if (layer->second_channel_stride == 0) {
    scale_row(layer, first, first_zero_point, *second - second_zero_point, output);
  } else {
    ek_product_row(layer, first, second, output, layer->channels);
  }
}

void ek_product_s8__c(const void *layer_, const void *const *rows, void *output,
                      const ek_region *region, void *scratch) {
  const ek_product_s8 *layer = (const ek_product_s8 *)layer_;
  const int32_t channels = layer->channels;
  const int32_t columns = region->column_end - region->column_begin;
  const int8_t *first = (const int8_t *)rows[0] + region->column_begin * layer->first_column_stride;
  const int8_t *second =
      (const int8_t *)rows[1] + region->column_begin * layer->second_column_stride;
  int8_t *out = (int8_t *)output + region->column_begin * channels;
  (void)scratch;
  if (layer->first_column_stride == channels && layer->second_column_stride == channels) {
    ek_product_row(layer, first, second, out, columns * channels);
    return;
  }
  for (int32_t column = 0; column < columns; column++) {
    run(layer, first, second, out);
    first += layer->first_column_stride;
    second += layer->second_column_stride;
    out += channels;
  }
}
