/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_slice_s8.h"

void ek_slice_s8__ref(const void *layer_, const void *const *inputs, void *output, void *scratch) {
  const ek_slice_s8 *layer = layer_;
  const int8_t *in = inputs[0];
  int8_t *out = output;
  (void)scratch;
  for (int32_t i0 = 0; i0 < layer->sizes[0]; i0++) {
    for (int32_t i1 = 0; i1 < layer->sizes[1]; i1++) {
      for (int32_t i2 = 0; i2 < layer->sizes[2]; i2++) {
        for (int32_t i3 = 0; i3 < layer->sizes[3]; i3++) {
          *out++ = in[layer->first + i0 * layer->strides[0] + i1 * layer->strides[1] +
                      i2 * layer->strides[2] + i3 * layer->strides[3]];
        }
      }
    }
  }
}
