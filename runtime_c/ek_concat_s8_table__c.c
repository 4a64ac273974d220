/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_concat_run.h"

void ek_concat_s8_table__c(const void *layer_, const void *const *inputs, void *output,
                           void *scratch) {
  const ek_concat_s8_table *layer = (const ek_concat_s8_table *)layer_;
  int8_t *out = (int8_t *)output;
  (void)scratch;
  for (int32_t i = 0; i < layer->input_count; i++) {
    ek_concat_run(layer, i, (const int8_t *)inputs[i], out, layer->widths[i]);
    out += layer->widths[i];
  }
}
