/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_block_conv2d_s8_s32.h"
#include "ek_block_dot.h"

#include <string.h>

void ek_block_conv2d_s8_s32__ref(const void *layer_, const void *const *rows, void *output,
                                 const ek_region *region, void *scratch) {
  const ek_block_conv2d_s8_s32 *layer = (const ek_block_conv2d_s8_s32 *)layer_;
  const int32_t inputs = layer->input_channels, outputs = layer->output_channels;
  int32_t *sums = (int32_t *)scratch;
  for (int32_t x = region->column_begin; x < region->column_end; x++) {
    const int8_t *pixel = (const int8_t *)rows[0] + x * inputs;
    const int32_t *before = layer->adds ? (const int32_t *)rows[1] + x * outputs : NULL;
    ek_block_dot(pixel, layer->weights, inputs, outputs, before, sums);
    memcpy((int32_t *)output + x * outputs, sums, (size_t)outputs * sizeof *sums);
  }
}
