/* SPDX-License-Identifier: Apache-2.0 */
/* A script in slices: a bounded amount of work per call, for schedulers that other tasks share. */
#ifndef EK_SLICES_H
#define EK_SLICES_H

#include "ek_position.h"
#include "ek_script.h"

/* columns, by step: of its one row that a slice computes, or 0: a slice is one firing. */
typedef struct {
  const ek_script *script;
  const uint16_t *columns;
} ek_slices;

/* Runs the slice at a position, which must be in front of the script's end, and moves it on. */
void ek_run_slice(const ek_slices *slices, ek_position *position, uint8_t *const *bases);

/* Runs a slice of a whole run; EK_INCOMPLETE: there are more. Behind the last one the position is
 * that of the beginning. EK_BAD_ARGUMENT: the position is behind the script's end. */
ek_status ek_step_script(const ek_slices *slices, ek_position *position, uint8_t *const *bases);

#endif
