/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_mean_columns.h"
#include "ek_pool_window.h"

#include <string.h>

void ek_mean_s8__c_accumulating(const void *layer_, const void *const *rows, void *output,
                                const ek_region *region, void *scratch) {
  const ek_mean_s8 *layer = (const ek_mean_s8 *)layer_;
  const ek_pool_window window = {rows, 1, 0, layer->count, layer->inner};
  int32_t *sums = (int32_t *)scratch;
  if (region->row == 0) {
    memset(sums, 0, (size_t)layer->inner * sizeof *sums);
  }
  ek_pool_add(&window, layer->inner, sums);
  if (region->row == layer->outer - 1) {
    const int32_t zeros = layer->outer * layer->count * layer->input_zero_point;
    for (int32_t i = 0; i < layer->inner; i++) {
      ((int8_t *)output)[i] = ek_mean_of_sum(layer, sums[i] - zeros);
    }
  }
}
