/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_product_row.h"

#if !defined(__ARM_FEATURE_DSP)

void ek_product_row(const ek_product_s8 *layer, const int8_t *first, const int8_t *second,
                    int8_t *output, int32_t count) {
  for (int32_t i = 0; i < count; i++) {
    const int32_t factor = second[i] - layer->second_zero_point;
    output[i] = ek_product_finished(layer, (first[i] - layer->first_zero_point) * factor);
  }
}

#endif
