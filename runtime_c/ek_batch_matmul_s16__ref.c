/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_batch_matmul_s16.h"
#include "ek_requantize.h"
#include "ek_requantize64.h"

void ek_batch_matmul_s16__ref(const void *layer_, const void *const *inputs, void *output,
                              void *scratch) {
  const ek_batch_matmul_s16 *layer = (const ek_batch_matmul_s16 *)layer_;
  int16_t *out = (int16_t *)output;
  (void)scratch;
  for (int32_t batch = 0; batch < layer->batches; batch++) {
    const int16_t *x = (const int16_t *)inputs[0] + batch * layer->x_batch_stride;
    for (int32_t row = 0; row < layer->rows; row++) {
      for (int32_t column = 0; column < layer->columns; column++) {
        const int16_t *y = (const int16_t *)inputs[1] + batch * layer->y_batch_stride;
        int64_t sum = 0;
        for (int32_t d = 0; d < layer->depth; d++) {
          const int32_t a = x[row * layer->x_row_stride + d * layer->x_depth_stride];
          sum += a * y[d * layer->y_depth_stride + column * layer->y_column_stride];
        }
        const int32_t scaled = ek_scale64(sum, layer->multiplier, layer->shift);
        *out++ = (int16_t)ek_clamp(scaled, -32768, 32767);
      }
    }
  }
}
