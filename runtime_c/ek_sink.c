/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_sink.h"

void ek_run_sink(const void *detail, uint8_t *const *bases, int32_t row) {
  const ek_sink_step *step = (const ek_sink_step *)detail;
  step->write(bases[step->sink->base], row, ek_map_row(step->source, bases, row));
}
