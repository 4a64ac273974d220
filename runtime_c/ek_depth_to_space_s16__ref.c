/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_depth_to_space_s16.h"

void ek_depth_to_space_s16__ref(const void *layer_, const void *const *rows, void *output,
                                const ek_region *region, void *scratch) {
  const ek_depth_to_space_s16 *layer = (const ek_depth_to_space_s16 *)layer_;
  const int32_t block = layer->block;
  const int32_t deep = block * block * layer->channels;
  (void)scratch;
  for (int32_t x = region->column_begin; x < region->column_end; x++) {
    const int32_t place = (region->row % block) * block + x % block;
    const int16_t *in = (const int16_t *)rows[0] + x / block * deep + place * layer->place_stride;
    int16_t *out = (int16_t *)output + x * layer->channels;
    for (int32_t c = 0; c < layer->channels; c++) {
      out[c] = in[c * layer->channel_stride];
    }
  }
}
