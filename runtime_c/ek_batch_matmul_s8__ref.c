/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_batch_matmul_s8.h"
#include "ek_requantize.h"

void ek_batch_matmul_s8__ref(const void *layer_, const void *const *inputs, void *output,
                             void *scratch) {
  const ek_batch_matmul_s8 *layer = (const ek_batch_matmul_s8 *)layer_;
  const int32_t minimum = -128 - layer->output_zero_point;
  const int32_t maximum = 127 - layer->output_zero_point;
  int8_t *out = (int8_t *)output;
  (void)scratch;
  for (int32_t batch = 0; batch < layer->batches; batch++) {
    const int8_t *x = (const int8_t *)inputs[0] + batch * layer->x_batch_stride;
    for (int32_t row = 0; row < layer->rows; row++) {
      for (int32_t column = 0; column < layer->columns; column++) {
        const int8_t *y = (const int8_t *)inputs[1] + batch * layer->y_batch_stride;
        int32_t sum = 0;
        for (int32_t d = 0; d < layer->depth; d++) {
          const int32_t a = x[row * layer->x_row_stride + d * layer->x_depth_stride];
          const int32_t b = y[d * layer->y_depth_stride + column * layer->y_column_stride];
          sum += (a - layer->x_zero_point) * (b - layer->y_zero_point);
        }
        const int32_t scaled = ek_scale(sum, layer->multiplier, layer->shift);
        *out++ = (int8_t)(ek_clamp(scaled, minimum, maximum) + layer->output_zero_point);
      }
    }
  }
}
