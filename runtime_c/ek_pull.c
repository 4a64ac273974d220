/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_pull.h"

void ek_run_pull(const void *detail, uint8_t *const *bases, int32_t row) {
  const ek_pull_step *step = (const ek_pull_step *)detail;
  step->read(ek_map_row(step->source, bases, 0), step->y + row, step->x, 1, step->width,
             ek_map_row(step->output, bases, row));
}
