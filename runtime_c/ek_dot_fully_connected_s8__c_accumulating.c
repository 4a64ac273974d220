/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dot_channels.h"
#include "ek_dot_fully_connected_s8.h"
#include "ek_dot_tile.h"

#include <stddef.h>

void ek_dot_fully_connected_s8__c_accumulating(const void *layer_, const void *const *rows,
                                               void *output, const ek_region *region,
                                               void *scratch) {
  const ek_dot_fully_connected_s8 *layer = (const ek_dot_fully_connected_s8 *)layer_;
  const ek_dot_channels channels = {layer->weights,
                                    layer->parameters,
                                    layer->input_channels,
                                    {layer->finish, layer->raise, layer->lower}};
  const int8_t *in = (const int8_t *)rows[0];
  const int32_t part = layer->input_channels / layer->rows, outputs = layer->output_channels;
  int32_t *sums = (int32_t *)scratch;
  ek_dot_tile tile = {{in, in}, {NULL, NULL, NULL, NULL}, part};
  for (int32_t c = 0; region->row == 0 && c < outputs; c++) {
    sums[c] = layer->parameters[c * EK_CHANNEL_PARAMETERS];
  }
  for (int32_t c = 0; c < outputs; c += 4) {
    const int32_t count = outputs - c < 4 ? outputs - c : 4;
    int32_t block[4] = {0, 0, 0, 0};
    for (int32_t i = 0; i < 4; i++) { /* beyond the end, the last one again */
      const int32_t channel = c + (i < count ? i : count - 1);
      tile.weights[i] = layer->weights + channel * layer->input_channels + region->row * part;
    }
    ek_dot_1x4(&tile, block);
    for (int32_t i = 0; i < count; i++) {
      sums[c + i] += block[i];
    }
  }
  for (int32_t c = 0; region->row == layer->rows - 1 && c < outputs; c++) {
    const int32_t *channel = layer->parameters + c * EK_CHANNEL_PARAMETERS;
    ((int8_t *)output)[c] = ek_finish_channel(&channels.finish, channel, sums[c]);
  }
}
