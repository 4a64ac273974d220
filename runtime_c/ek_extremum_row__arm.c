/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_extremum_row.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

#include "ek_dsp_words.h"

void ek_larger_elements(const int8_t *first, int32_t first_step, const int8_t *second,
                        int32_t second_step, int8_t *output, int32_t count) {
  int32_t i = 0;
  for (; i + 4 <= count && first_step + second_step == 2; i += 4) {
    const uint32_t x = ek_load_word(first + i), y = ek_load_word(second + i);
    ek_store_word(output + i, ek_select_at_least(x, y, x, y));
  }
  for (; i < count; i++) {
    const int8_t x = first[i * first_step], y = second[i * second_step];
    output[i] = x > y ? x : y;
  }
}

void ek_smaller_elements(const int8_t *first, int32_t first_step, const int8_t *second,
                         int32_t second_step, int8_t *output, int32_t count) {
  int32_t i = 0;
  for (; i + 4 <= count && first_step + second_step == 2; i += 4) {
    const uint32_t x = ek_load_word(first + i), y = ek_load_word(second + i);
    ek_store_word(output + i, ek_select_at_least(x, y, y, x));
  }
  for (; i < count; i++) {
    const int8_t x = first[i * first_step], y = second[i * second_step];
    output[i] = x < y ? x : y;
  }
}

#endif
