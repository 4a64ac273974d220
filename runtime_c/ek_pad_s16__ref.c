/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_pad_s16.h"

static int16_t padded(const ek_pad_s16 *layer, const int16_t *row, int32_t x, int32_t c) {
  if (row == NULL || x < 0 || x >= layer->input_width || c < 0 || c >= layer->input_channels) {
    return (int16_t)layer->value;
  }
  return row[x * layer->input_channels + c];
}

void ek_pad_s16__ref(const void *layer_, const void *const *rows, void *output,
                     const ek_region *region, void *scratch) {
  const ek_pad_s16 *layer = (const ek_pad_s16 *)layer_;
  (void)scratch;
  for (int32_t x = region->column_begin; x < region->column_end; x++) {
    int16_t *out = (int16_t *)output + x * layer->output_channels;
    for (int32_t c = 0; c < layer->output_channels; c++) {
      out[c] = padded(layer, (const int16_t *)rows[0], x - layer->columns_before,
                      c - layer->channels_before);
    }
  }
}
