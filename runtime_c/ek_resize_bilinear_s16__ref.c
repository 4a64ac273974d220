/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_resize_bilinear_s16.h"

enum { ONE = 1024 };

/* The sum along one row, times 1024. */
static int64_t along_row(const ek_resize_bilinear_s16 *layer, const int16_t *row, int32_t position,
                         int32_t channel) {
  const int32_t left = position / ONE;
  const int32_t right = left + 1 < layer->input_width ? left + 1 : left;
  const int32_t fraction = position % ONE;
  return (int64_t)row[left * layer->channels + channel] * (ONE - fraction) +
         (int64_t)row[right * layer->channels + channel] * fraction;
}

void ek_resize_bilinear_s16__ref(const void *layer_, const void *const *rows, void *output,
                                 const ek_region *region, void *scratch) {
  const ek_resize_bilinear_s16 *layer = (const ek_resize_bilinear_s16 *)layer_;
  const int32_t fraction = layer->row_fractions[region->row];
  const int32_t half = ONE * ONE / 2;
  (void)scratch;
  for (int32_t x = region->column_begin; x < region->column_end; x++) {
    int16_t *out = (int16_t *)output + x * layer->channels;
    for (int32_t c = 0; c < layer->channels; c++) {
      const int64_t upper = along_row(layer, (const int16_t *)rows[0], layer->columns[x], c);
      const int64_t lower = along_row(layer, (const int16_t *)rows[1], layer->columns[x], c);
      const int64_t sum = upper * (ONE - fraction) + lower * fraction;
      out[c] = (int16_t)((sum > 0 ? sum + half : sum - half) / (ONE * ONE));
    }
  }
}
