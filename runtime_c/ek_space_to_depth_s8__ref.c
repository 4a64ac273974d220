/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_space_to_depth_s8.h"

static void gather_block(const ek_space_to_depth_s8 *layer, const void *const *rows, int32_t column,
                         int8_t *out) {
  for (int32_t i = 0; i < layer->block; i++) {
    for (int32_t j = 0; j < layer->block; j++) {
      const int8_t *in = (const int8_t *)rows[i] + (column * layer->block + j) * layer->channels;
      const int32_t place = (i * layer->block + j) * layer->place_stride;
      for (int32_t c = 0; c < layer->channels; c++) {
        out[place + c * layer->channel_stride] = in[c];
      }
    }
  }
}

void ek_space_to_depth_s8__ref(const void *layer_, const void *const *rows, void *output,
                               const ek_region *region, void *scratch) {
  const ek_space_to_depth_s8 *layer = (const ek_space_to_depth_s8 *)layer_;
  const int32_t deep = layer->block * layer->block * layer->channels;
  (void)scratch;
  for (int32_t column = region->column_begin; column < region->column_end; column++) {
    gather_block(layer, rows, column, (int8_t *)output + column * deep);
  }
}
