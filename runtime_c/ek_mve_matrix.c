/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_mve_matrix.h"

enum { TILE = 3, LANES = 16, GROUP = 4 };

void ek_mve_matrix_run(const ek_mve_matrix *matrix, const ek_mve_pixels *pixels,
                       int32_t channel_begin, int32_t channel_end) {
  const int32_t depth = matrix->depth;
  const int32_t channel_bytes = ek_mve_channel_bytes(depth);
  const int8_t *weights = matrix->weights + channel_begin * channel_bytes;
  const int32_t *parameters =
      matrix->parameters + channel_begin / GROUP * ek_mve_parameter_words(matrix->is_general);
  const int32_t weight_step = channel_bytes * GROUP - LANES;
  const int32_t input_bytes = pixels->input_bytes;
  const int32_t output_bytes = pixels->output_bytes;
  const int8_t *input = pixels->input;
  int8_t *output = pixels->output;
  int32_t left = pixels->count;
  ek_mve_dot_tile tile;
  tile.zero_point = matrix->output_zero_point;
  tile.channels = channel_end - channel_begin;
  tile.minimum = matrix->minimum;
  tile.maximum = matrix->maximum;
  tile.is_general = matrix->is_general;
  for (; left > 0; left -= TILE) {
    for (int32_t pixel = 0; pixel < TILE; pixel++) {
      tile.pixels[pixel] = input;
      tile.outputs[pixel] = output;
      input += pixel < left ? input_bytes : 0;
      output += pixel < left ? output_bytes : 0;
    }
    if (left >= TILE) {
      ek_mve_dot_3(weights, parameters, depth, weight_step, tile);
    } else if (left == 2) {
      ek_mve_dot_2(weights, parameters, depth, weight_step, tile);
    } else {
      ek_mve_dot_1(weights, parameters, depth, weight_step, tile);
    }
  }
}
