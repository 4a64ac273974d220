/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dot_channels.h"
#include "ek_dot_tile.h"

void ek_dot_pixel(const ek_dot_channels *channels, const int8_t *input, int32_t begin, int32_t end,
                  int8_t *output) {
  const int32_t *channel = channels->parameters + begin * EK_CHANNEL_PARAMETERS;
  const int8_t *weights = channels->weights + begin * channels->taps;
  ek_dot_tile tile = {{input, input}, {NULL, NULL, NULL, NULL}, channels->taps};
  for (int32_t left = end - begin; left > 0; left -= 4) {
    const int32_t count = left < 4 ? left : 4;
    int32_t sums[4] = {0, 0, 0, 0};
    for (int32_t c = 0; c < 4; c++) { /* beyond the end, the last one again */
      tile.weights[c] = weights;
      sums[c] = channel[(c < count ? c : count - 1) * EK_CHANNEL_PARAMETERS];
      weights += c + 1 < count ? channels->taps : 0;
    }
    ek_dot_1x4(&tile, sums);
    for (int32_t c = 0; c < count; c++) {
      *output++ = ek_finish_channel(&channels->finish, channel, sums[c]);
      channel += EK_CHANNEL_PARAMETERS;
    }
    weights += channels->taps;
  }
}

void ek_dot_pixels(const ek_dot_channels *channels, const int8_t *first, const int8_t *second,
                   int32_t begin, int32_t end, int8_t *output, int32_t output_step) {
  const int32_t *channel = channels->parameters + begin * EK_CHANNEL_PARAMETERS;
  ek_dot_tile tile = {{first, second}, {NULL, NULL, NULL, NULL}, channels->taps};
  tile.weights[0] = channels->weights + begin * channels->taps;
  for (int32_t left = end - begin; left > 0; left -= 2) {
    const int32_t *next = left > 1 ? channel + EK_CHANNEL_PARAMETERS : channel;
    int32_t sums[4] = {channel[0], next[0], channel[0], next[0]};
    tile.weights[1] = tile.weights[0] + (left > 1 ? channels->taps : 0);
    ek_dot_2x2(&tile, sums);
    output[0] = ek_finish_channel(&channels->finish, channel, sums[0]);
    output[output_step] = ek_finish_channel(&channels->finish, channel, sums[2]);
    if (left > 1) {
      output[1] = ek_finish_channel(&channels->finish, next, sums[1]);
      output[output_step + 1] = ek_finish_channel(&channels->finish, next, sums[3]);
    }
    channel = next + EK_CHANNEL_PARAMETERS;
    tile.weights[0] = tile.weights[1] + channels->taps;
    output += 2;
  }
}
