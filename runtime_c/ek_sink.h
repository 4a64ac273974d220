/* SPDX-License-Identifier: Apache-2.0 */
/* The step that hands output rows to the caller's callback. */
#ifndef EK_SINK_H
#define EK_SINK_H

#include "ek_script.h"

/* Takes row y of the output, dense, whose channels lie together; it is gone afterwards. model.c
 * defines it around the callback of sink, whose row has the output's type. */
typedef void (*ek_row_writer)(const void *sink, int32_t y, const void *row);

typedef struct {
  ek_row_writer write;
  const ek_map *source;
  const ek_map *sink; /* the place among the bases at which the sink is */
} ek_sink_step;

/* Writes row row of the output; detail is an ek_sink_step. */
void ek_run_sink(const void *detail, uint8_t *const *bases, int32_t row);

#endif
