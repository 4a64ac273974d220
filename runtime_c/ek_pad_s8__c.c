/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_pad_s8.h"

#include <string.h>

/* Columns [begin, end) that lie inside the input, for a border around rows and columns alone. */
static void pad_columns(const ek_pad_s8 *layer, const int8_t *row, int8_t *out, int32_t begin,
                        int32_t end) {
  const int32_t channels = layer->output_channels, first = layer->columns_before;
  const int32_t inside_begin = begin > first ? begin : first;
  const int32_t behind = first + layer->input_width;
  const int32_t inside_end = end < behind ? end : behind;
  const int32_t bytes = (inside_end - inside_begin) * channels;
  if (row == NULL || bytes <= 0) {
    memset(out + begin * channels, (int)layer->value, (size_t)((end - begin) * channels));
    return;
  }
  memset(out + begin * channels, (int)layer->value, (size_t)((inside_begin - begin) * channels));
  memcpy(out + inside_begin * channels, row + (inside_begin - first) * channels, (size_t)bytes);
  memset(out + inside_end * channels, (int)layer->value, (size_t)((end - inside_end) * channels));
}

/* One column with a border around its channels. */
static void pad_channels(const ek_pad_s8 *layer, const int8_t *row, int8_t *out, int32_t column) {
  const int32_t x = column - layer->columns_before, channels = layer->input_channels;
  int8_t *at = out + column * layer->output_channels;
  memset(at, (int)layer->value, (size_t)layer->output_channels);
  if (row != NULL && x >= 0 && x < layer->input_width) {
    memcpy(at + layer->channels_before, row + x * channels, (size_t)channels);
  }
}

void ek_pad_s8__c(const void *layer_, const void *const *rows, void *output,
                  const ek_region *region, void *scratch) {
  const ek_pad_s8 *layer = (const ek_pad_s8 *)layer_;
  const int8_t *row = (const int8_t *)rows[0];
  (void)scratch;
  if (layer->input_channels == layer->output_channels) {
    pad_columns(layer, row, (int8_t *)output, region->column_begin, region->column_end);
    return;
  }
  for (int32_t x = region->column_begin; x < region->column_end; x++) {
    pad_channels(layer, row, (int8_t *)output, x);
  }
}
