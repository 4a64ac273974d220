/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_fully_connected_s16.h"
#include "ek_requantize.h"
#include "ek_requantize64.h"

/* Two words: scratch is aligned to 4 bytes, an int64_t may want 8. */
static int64_t load(const uint32_t *words) {
  return (int64_t)(((uint64_t)words[1] << 32) | words[0]);
}

static void store(uint32_t *words, int64_t sum) {
  words[0] = (uint32_t)sum;
  words[1] = (uint32_t)((uint64_t)sum >> 32);
}

void ek_fully_connected_s16__ref_accumulating(const void *layer_, const void *const *rows,
                                              void *output, const ek_region *region,
                                              void *scratch) {
  const ek_fully_connected_s16 *layer = (const ek_fully_connected_s16 *)layer_;
  const int16_t *in = (const int16_t *)rows[0];
  int16_t *out = (int16_t *)output;
  uint32_t *sums = (uint32_t *)scratch;
  const int32_t part = layer->input_channels / layer->rows;
  for (int32_t c = 0; c < layer->output_channels; c++) {
    const int8_t *w = layer->weights + c * layer->input_channels + region->row * part;
    int64_t sum = region->row == 0 ? layer->bias[c] : load(sums + 2 * c);
    for (int32_t i = 0; i < part; i++) {
      sum += in[i] * w[i];
    }
    store(sums + 2 * c, sum);
    if (region->row == layer->rows - 1) {
      const int32_t scaled = ek_scale64(sum, layer->multipliers[c], layer->shifts[c]);
      out[c] = (int16_t)ek_clamp(scaled, layer->minimum, layer->maximum);
    }
  }
}
