/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_mve_dot.h"
#include "ek_requantize.h"

#if !defined(__ARM_FEATURE_MVE)

enum { LANES = 16, GROUP = 4 };

/* Where the parameters of a group have the bias of each of its channels. */
static const int8_t bias_word[GROUP] = {0, 2, 1, 3};

static int32_t dot(const int8_t *weights, const int8_t *pixel, int32_t depth, int32_t channel) {
  int32_t sum = 0;
  for (int32_t i = 0; i < depth; i++) {
    sum += pixel[i] * weights[(i / LANES * GROUP + channel) * LANES + i % LANES];
  }
  return sum;
}

static int8_t finish(const ek_mve_dot_tile *tile, int32_t sum, const int32_t *parameters,
                     int32_t channel) {
  const int32_t left = tile->is_general != 0 ? parameters[12 + channel] : 0;
  const int32_t right = parameters[8 + channel];
  const int32_t shift = left > 0 ? left : right;
  const int32_t scaled = ek_scale(sum, parameters[4 + channel], shift);
  return (int8_t)(ek_clamp(scaled, tile->minimum, tile->maximum) + tile->zero_point);
}

static void tile_of(const int8_t *weights, const int32_t *parameters, int32_t depth,
                    int32_t weight_step, const ek_mve_dot_tile *tile, int32_t pixels) {
  for (int32_t c = 0; c < tile->channels; c++) {
    const int32_t channel = c % GROUP;
    for (int32_t pixel = 0; pixel < pixels; pixel++) {
      const int32_t sum =
          parameters[bias_word[channel]] + dot(weights, tile->pixels[pixel], depth, channel);
      tile->outputs[pixel][c] = finish(tile, sum, parameters, channel);
    }
    if (channel == GROUP - 1) {
      weights += weight_step + LANES;
      parameters += tile->is_general != 0 ? 16 : 12;
    }
  }
}

void ek_mve_dot_1(const int8_t *weights, const int32_t *parameters, int32_t depth,
                  int32_t weight_step, ek_mve_dot_tile tile) {
  tile_of(weights, parameters, depth, weight_step, &tile, 1);
}

void ek_mve_dot_2(const int8_t *weights, const int32_t *parameters, int32_t depth,
                  int32_t weight_step, ek_mve_dot_tile tile) {
  tile_of(weights, parameters, depth, weight_step, &tile, 2);
}

void ek_mve_dot_3(const int8_t *weights, const int32_t *parameters, int32_t depth,
                  int32_t weight_step, ek_mve_dot_tile tile) {
  tile_of(weights, parameters, depth, weight_step, &tile, 3);
}

#endif
