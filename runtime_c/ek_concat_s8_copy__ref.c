/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_concat_s8_copy.h"

#include <string.h>

void ek_concat_s8_copy__ref(const void *layer_, const void *const *inputs, void *output,
                            void *scratch) {
  const ek_concat_s8_copy *layer = (const ek_concat_s8_copy *)layer_;
  int8_t *out = (int8_t *)output;
  (void)scratch;
  for (int32_t i = 0; i < layer->input_count; i++) {
    memcpy(out, inputs[i], (size_t)layer->widths[i]);
    out += layer->widths[i];
  }
}
