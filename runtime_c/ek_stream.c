/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_stream.h"
#include "ek_hook.h"

#include <string.h>

static ek_cursor cursor_of(const ek_stream *stream, const uint8_t *arena) {
  ek_cursor cursor;
  memcpy(&cursor, arena + stream->cursor, sizeof cursor);
  return cursor;
}

static void keep(const ek_stream *stream, uint8_t *arena, ek_cursor cursor) {
  memcpy(arena + stream->cursor, &cursor, sizeof cursor);
}

/* Whether an entry has to wait neither for a row nor, from limit on, for the outputs. */
static int is_ready(const ek_stream *stream, int32_t entry, int32_t limit) {
  return entry < limit && stream->slices->script->firings[entry].step != stream->input_step;
}

/* One slice of an entry that is no row of the input. */
static void run_slice(const ek_stream *stream, ek_cursor *cursor, uint8_t *const *bases) {
  ek_position position = {cursor->entry, cursor->done};
  ek_run_slice(stream->slices, &position, bases);
  cursor->entry = position.entry;
  cursor->done = (uint16_t)position.slice;
}

/* Runs what needs no further row, up to limit. */
static void run_ready(const ek_stream *stream, ek_cursor *cursor, int32_t limit,
                      uint8_t *const *bases) {
  while (cursor->done != 0 && is_ready(stream, (int32_t)cursor->entry, limit) != 0) {
    run_slice(stream, cursor, bases);
  }
  int32_t end = (int32_t)cursor->entry;
  while (is_ready(stream, end, limit) != 0) {
    end++;
  }
  ek_run_script(stream->slices->script, (int32_t)cursor->entry, end, bases);
  cursor->entry = (uint32_t)end;
}

/* Fires the input step once, unless no output depends on the row. */
static void take_row(const ek_stream *stream, ek_cursor *cursor, uint8_t *const *bases) {
  cursor->rows++;
  if ((int32_t)cursor->entry < stream->finish_entry) {
    const ek_firings *firings = &stream->slices->script->firings[cursor->entry];
    const ek_step *step = &stream->slices->script->steps[firings->step];
    EK_LAYER_HOOK(firings->step);
    step->run(step->detail, bases, firings->row + cursor->done);
    EK_FIRED_HOOK(firings->step, firings->row + cursor->done);
    cursor->done++;
    if (cursor->done == firings->count) {
      cursor->entry++;
      cursor->done = 0;
    }
  }
}

void ek_stream_begin(const ek_stream *stream, uint8_t *arena) {
  const ek_cursor start = {0, 0, 0};
  keep(stream, arena, start);
}

ek_status ek_stream_push(const ek_stream *stream, uint8_t **bases, uint32_t row_count) {
  ek_cursor cursor = cursor_of(stream, bases[0]);
  if (row_count > stream->input_rows || cursor.rows > stream->input_rows - row_count) {
    return EK_TOO_MANY_ROWS;
  }
  for (uint32_t i = 0; i < row_count; i++) {
    run_ready(stream, &cursor, stream->finish_entry, bases);
    take_row(stream, &cursor, bases);
    bases[1] += stream->row_bytes;
  }
  keep(stream, bases[0], cursor);
  return EK_OK;
}

ek_status ek_stream_step(const ek_stream *stream, uint8_t *const *bases) {
  ek_cursor cursor = cursor_of(stream, bases[0]);
  const int is_complete = cursor.rows == stream->input_rows;
  const int32_t limit = is_complete != 0 ? stream->slices->script->length : stream->finish_entry;
  if (is_ready(stream, (int32_t)cursor.entry, limit) != 0) {
    run_slice(stream, &cursor, bases);
    keep(stream, bases[0], cursor);
  }
  return is_ready(stream, (int32_t)cursor.entry, limit) != 0 ? EK_INCOMPLETE : EK_OK;
}

ek_status ek_stream_finish(const ek_stream *stream, uint8_t *const *bases) {
  ek_cursor cursor = cursor_of(stream, bases[0]);
  if (cursor.rows != stream->input_rows) {
    return EK_INCOMPLETE;
  }
  run_ready(stream, &cursor, stream->slices->script->length, bases);
  ek_stream_begin(stream, bases[0]);
  return EK_OK;
}
