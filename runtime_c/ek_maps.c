/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_maps.h"

#include <string.h>

void ek_run_map(const void *detail, uint8_t *const *bases, int32_t row) {
  const ek_map_step *step = (const ek_map_step *)detail;
  const void *inputs[EK_MAX_MAPS];
  for (int32_t i = 0; i < step->operand_count; i++) {
    inputs[i] = ek_map_row(&step->operands[i], bases, 0);
  }
  (void)row;
  step->kernel(step->layer, inputs, ek_map_row(step->output, bases, 0), bases[0] + step->scratch);
}

void ek_run_copy(const void *detail, uint8_t *const *bases, int32_t row) {
  const ek_copy_step *step = (const ek_copy_step *)detail;
  memcpy(ek_map_row(step->output, bases, row), ek_map_row(step->source, bases, row), step->bytes);
}
