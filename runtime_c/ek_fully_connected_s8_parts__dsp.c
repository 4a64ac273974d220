/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dsp_row_parts.h"

void ek_fully_connected_s8_parts__dsp(const void *layer_, const void *const *inputs, void *output,
                                      void *scratch) {
  const ek_fully_connected_s8_parts *layer = (const ek_fully_connected_s8_parts *)layer_;
  const int8_t *x = (const int8_t *)inputs[0];
  for (int32_t part = 0; part < layer->parts; part++, x += layer->part_bytes) {
    ek_dsp_row_part(layer, x, part, output, scratch);
  }
}
