/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_mve_matrix.h"
#include "ek_pointwise_s8_interleaved.h"

void ek_pointwise_s8_interleaved__mve_3x2(const void *layer_, const void *const *rows, void *output,
                                          const ek_region *region, void *scratch) {
  const ek_pointwise_s8_interleaved *layer = (const ek_pointwise_s8_interleaved *)layer_;
  const ek_mve_matrix matrix = {layer->weights,   layer->parameters, layer->depth,
                                layer->minimum,   layer->maximum,    layer->output_zero_point,
                                layer->is_general};
  const int32_t channels = region->channel_end - region->channel_begin;
  const int32_t begin = region->column_begin;
  const ek_mve_pixels pixels = {(const int8_t *)rows[0] + begin * layer->depth,
                                (int8_t *)output + begin * channels, layer->depth, channels,
                                region->column_end - begin};
  (void)scratch;
  ek_mve_matrix_run(&matrix, &pixels, region->channel_begin, region->channel_end);
}
