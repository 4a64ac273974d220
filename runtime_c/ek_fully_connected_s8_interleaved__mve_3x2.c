/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_fully_connected_s8_interleaved.h"
#include "ek_mve_matrix.h"

void ek_fully_connected_s8_interleaved__mve_3x2(const void *layer_, const void *const *inputs,
                                                void *output, void *scratch) {
  const ek_fully_connected_s8_interleaved *layer =
      (const ek_fully_connected_s8_interleaved *)layer_;
  const ek_mve_matrix matrix = {layer->weights,   layer->parameters, layer->input_channels,
                                layer->minimum,   layer->maximum,    layer->output_zero_point,
                                layer->is_general};
  const ek_mve_pixels rows = {(const int8_t *)inputs[0], (int8_t *)output, layer->input_channels,
                              layer->output_channels, layer->rows};
  (void)scratch;
  ek_mve_matrix_run(&matrix, &rows, 0, layer->output_channels);
}
