/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dot_channels.h"
#include "ek_dot_fully_connected_s8.h"

void ek_dot_fully_connected_s8__c(const void *layer_, const void *const *inputs, void *output,
                                  void *scratch) {
  const ek_dot_fully_connected_s8 *layer = (const ek_dot_fully_connected_s8 *)layer_;
  const ek_dot_channels channels = {layer->weights,
                                    layer->parameters,
                                    layer->input_channels,
                                    {layer->finish, layer->raise, layer->lower}};
  const int8_t *in = (const int8_t *)inputs[0];
  int8_t *out = (int8_t *)output;
  int32_t left = layer->rows;
  (void)scratch;
  for (; left > 1; left -= 2) {
    ek_dot_pixels(&channels, in, in + layer->input_channels, 0, layer->output_channels, out,
                  layer->output_channels);
    in += 2 * layer->input_channels;
    out += 2 * layer->output_channels;
  }
  if (left > 0) {
    ek_dot_pixel(&channels, in, 0, layer->output_channels, out);
  }
}
