/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_mean_columns.h"

void ek_mean_s8__c(const void *layer_, const void *const *inputs, void *output, void *scratch) {
  const ek_mean_s8 *layer = (const ek_mean_s8 *)layer_;
  const int8_t *in = (const int8_t *)inputs[0];
  int8_t *out = (int8_t *)output;
  (void)scratch;
  for (int32_t o = 0; o < layer->outer; o++) {
    ek_mean_columns(layer, in, out);
    in += layer->count * layer->inner;
    out += layer->inner;
  }
}
