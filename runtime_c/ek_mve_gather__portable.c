/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_mve_gather.h"

#if !defined(__ARM_FEATURE_MVE)

#include <string.h>

void ek_mve_gather(const ek_mve_patch *patch) {
  for (int32_t row = 0; row < patch->row_count; row++) {
    int8_t *to = patch->to + row * patch->to_step;
    if (patch->rows[row] != NULL) {
      memcpy(to, (const int8_t *)patch->rows[row] + patch->offset, (size_t)patch->bytes);
    } else {
      memset(to, patch->zero_point, (size_t)patch->bytes);
    }
  }
}

void ek_mve_fill(const ek_mve_patch *patch) {
  for (int32_t row = 0; row < patch->row_count; row++) {
    memset(patch->to + row * patch->to_step, patch->zero_point, (size_t)patch->bytes);
  }
}

#endif
