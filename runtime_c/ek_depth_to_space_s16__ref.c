/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_depth_to_space_s16.h"

void ek_depth_to_space_s16__ref(const void *layer_, const void *const *inputs, void *output,
                                void *scratch) {
  const ek_depth_to_space_s16 *layer = layer_;
  const int32_t block = layer->block;
  const int32_t deep = block * block * layer->channels;
  int16_t *out = output;
  (void)scratch;
  for (int32_t y = 0; y < layer->input_height * block; y++) {
    for (int32_t x = 0; x < layer->input_width * block; x++) {
      const int32_t pixel = (y / block) * layer->input_width + x / block;
      const int32_t place = (y % block) * block + x % block;
      const int16_t *in = (const int16_t *)inputs[0] + pixel * deep + place * layer->place_stride;
      for (int32_t c = 0; c < layer->channels; c++) {
        *out++ = in[c * layer->channel_stride];
      }
    }
  }
}
