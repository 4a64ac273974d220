/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_slices.h"
#include "ek_hook.h"
#include "ek_rows.h"

/* Columns [slice * columns, ...) of a row; whether they were its last ones. */
static int run_columns(const ek_step *step, uint8_t *const *bases, uint32_t slice,
                       int32_t columns) {
  const ek_rows_step *detail = (const ek_rows_step *)step->detail;
  const int32_t begin = (int32_t)slice * columns;
  const int32_t end = begin + columns;
  const int is_last = end >= detail->output_width;
  ek_run_columns(detail, bases, 0, begin, is_last != 0 ? detail->output_width : end);
  return is_last;
}

void ek_run_slice(const ek_slices *slices, ek_position *position, uint8_t *const *bases) {
  const ek_firings *firings = &slices->script->firings[position->entry];
  const ek_step *step = &slices->script->steps[firings->step];
  const int32_t columns = slices->columns[firings->step];
  const int32_t row = firings->row + (columns != 0 ? 0 : (int32_t)position->slice);
  int is_complete = 0;
  EK_LAYER_HOOK(firings->step);
  if (columns != 0) {
    is_complete = run_columns(step, bases, position->slice, columns);
  } else {
    step->run(step->detail, bases, row);
    is_complete = position->slice + 1U == firings->count;
  }
  if (columns == 0 || is_complete != 0) {
    EK_FIRED_HOOK(firings->step, row);
  }
  position->slice++;
  if (is_complete != 0) {
    position->entry++;
    position->slice = 0;
  }
  EK_LAYER_HOOK(-1);
}

ek_status ek_step_script(const ek_slices *slices, ek_position *position, uint8_t *const *bases) {
  const ek_position start = {0, 0};
  const uint32_t length = (uint32_t)slices->script->length;
  if (position->entry > length) {
    return EK_BAD_ARGUMENT;
  }
  if (position->entry < length) {
    ek_run_slice(slices, position, bases);
  }
  if (position->entry < length) {
    return EK_INCOMPLETE;
  }
  *position = start;
  return EK_OK;
}
