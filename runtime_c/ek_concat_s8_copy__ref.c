/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_concat_s8_copy.h"

#include <string.h>

void ek_concat_s8_copy__ref(const void *layer_, const void *const *inputs, void *output,
                            void *scratch) {
  const ek_concat_s8_copy *layer = layer_;
  int8_t *out = output;
  (void)scratch;
  for (int32_t turn = 0; turn < layer->turns; turn++) {
    for (int32_t input = 0; input < layer->input_count; input++) {
      const int32_t bytes = layer->block_bytes[input];
      memcpy(out, (const int8_t *)inputs[input] + turn * bytes, (size_t)bytes);
      out += bytes;
    }
  }
}
