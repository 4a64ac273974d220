/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dot_channels.h"
#include "ek_dot_pointwise_s8.h"

void ek_dot_pointwise_s8__c(const void *layer_, const void *const *rows, void *output,
                            const ek_region *region, void *scratch) {
  const ek_dot_pointwise_s8 *layer = (const ek_dot_pointwise_s8 *)layer_;
  const ek_dot_channels channels = {layer->weights,
                                    layer->parameters,
                                    layer->input_channels,
                                    {layer->finish, layer->raise, layer->lower}};
  const int32_t step = layer->input_channels * layer->stride_width;
  const int32_t begin = region->channel_begin, end = region->channel_end;
  const int8_t *in = (const int8_t *)rows[0] + region->column_begin * step;
  int8_t *out = (int8_t *)output + region->column_begin * (end - begin);
  int32_t left = region->column_end - region->column_begin;
  (void)scratch;
  for (; left > 1; left -= 2) {
    ek_dot_pixels(&channels, in, in + step, begin, end, out, end - begin);
    in += 2 * step;
    out += 2 * (end - begin);
  }
  if (left > 0) {
    ek_dot_pixel(&channels, in, begin, end, out);
  }
}
