/* SPDX-License-Identifier: Apache-2.0 */
/* A model whose input rows are pushed: it runs as far as each row allows. */
#ifndef EK_STREAM_H
#define EK_STREAM_H

#include "ek_slices.h"
#include "ek_status.h"

/* Where a run stands; it lies in the arena. */
typedef struct {
  uint32_t entry; /* of the script; all entries in front of it are complete */
  uint16_t done;  /* slices of that entry */
  uint16_t rows;  /* pushed so far */
} ek_cursor;

/* Firings of input_step take one pushed row each, in order; the entries from finish_entry on, none
 * of which is of that step, need the outputs, which only ek_stream_finish has. */
typedef struct {
  const ek_slices *slices;
  uint32_t cursor; /* bytes from the start of the arena */
  int32_t finish_entry;
  int32_t input_step;
  uint32_t input_rows;
  uint32_t row_bytes;
} ek_stream;

/* Starts a run, whatever the arena holds. */
void ek_stream_begin(const ek_stream *stream, uint8_t *arena);

/* Takes rows in order, top to bottom, from bases[1] on, which it moves; before each of them, what
 * it finds ready is run. What the last one makes ready is left to whoever is called next.
 * EK_TOO_MANY_ROWS: they are more than the input still lacks, and none of them was taken. */
ek_status ek_stream_push(const ek_stream *stream, uint8_t **bases, uint32_t row_count);

/* Runs one slice of what is ready; bases as below. EK_INCOMPLETE: more is ready. */
ek_status ek_stream_step(const ek_stream *stream, uint8_t *const *bases);

/* Runs what is left when all rows are there; bases[0] is the arena, the outputs are from
 * bases[2] on. EK_INCOMPLETE: rows are missing, and nothing has changed. */
ek_status ek_stream_finish(const ek_stream *stream, uint8_t *const *bases);

#endif
