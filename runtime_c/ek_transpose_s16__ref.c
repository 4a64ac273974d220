/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_transpose_s16.h"

void ek_transpose_s16__ref(const void *layer_, const void *const *inputs, void *output,
                           void *scratch) {
  const ek_transpose_s16 *layer = (const ek_transpose_s16 *)layer_;
  const int16_t *in = (const int16_t *)inputs[0];
  int16_t *out = (int16_t *)output;
  (void)scratch;
  for (int32_t i0 = 0; i0 < layer->sizes[0]; i0++) {
    for (int32_t i1 = 0; i1 < layer->sizes[1]; i1++) {
      for (int32_t i2 = 0; i2 < layer->sizes[2]; i2++) {
        for (int32_t i3 = 0; i3 < layer->sizes[3]; i3++) {
          *out++ = in[i0 * layer->strides[0] + i1 * layer->strides[1] + i2 * layer->strides[2] +
                      i3 * layer->strides[3]];
        }
      }
    }
  }
}
