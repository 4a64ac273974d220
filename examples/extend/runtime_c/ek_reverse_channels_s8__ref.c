/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_reverse_channels_s8.h"

void ek_reverse_channels_s8__ref(const void *layer_, const void *const *rows, void *output,
                                 const ek_region *region, void *scratch) {
  const ek_reverse_channels_s8 *layer = (const ek_reverse_channels_s8 *)layer_;
  const int8_t *in = (const int8_t *)rows[0];
  int8_t *out = (int8_t *)output;
  (void)scratch;
  for (int32_t column = region->column_begin; column < region->column_end; column++) {
    for (int32_t channel = 0; channel < layer->channels; channel++) {
      out[column * layer->channels + channel] =
          in[column * layer->channels + layer->channels - 1 - channel];
    }
  }
}
