/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_extremum_row.h"

#if !defined(__ARM_FEATURE_DSP)

void ek_larger_elements(const int8_t *first, int32_t first_step, const int8_t *second,
                        int32_t second_step, int8_t *output, int32_t count) {
  for (int32_t i = 0; i < count; i++, first += first_step, second += second_step) {
    output[i] = *first > *second ? *first : *second;
  }
}

void ek_smaller_elements(const int8_t *first, int32_t first_step, const int8_t *second,
                         int32_t second_step, int8_t *output, int32_t count) {
  for (int32_t i = 0; i < count; i++, first += first_step, second += second_step) {
    output[i] = *first < *second ? *first : *second;
  }
}

#endif
