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

/* Runs what needs no further row. */
static void run_ready(const ek_stream *stream, ek_cursor *cursor, uint8_t *const *bases) {
  const int32_t begin = (int32_t)cursor->entry;
  int32_t end = begin;
  while (end < stream->finish_entry && stream->script->firings[end].step != stream->input_step) {
    end++;
  }
  ek_run_script(stream->script, begin, end, bases);
  cursor->entry = (uint32_t)end;
}

/* Fires the input step once, unless no output depends on the row. */
static void take_row(const ek_stream *stream, ek_cursor *cursor, uint8_t *const *bases) {
  cursor->rows++;
  if ((int32_t)cursor->entry < stream->finish_entry) {
    const ek_firings *firings = &stream->script->firings[cursor->entry];
    const ek_step *step = &stream->script->steps[firings->step];
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

ek_status ek_stream_push(const ek_stream *stream, uint8_t *arena, const uint8_t *rows,
                         uint32_t row_count) {
  ek_cursor cursor = cursor_of(stream, arena);
  uint8_t *bases[2] = {arena, (uint8_t *)(uintptr_t)rows};
  if (row_count > stream->input_rows || cursor.rows > stream->input_rows - row_count) {
    return EK_TOO_MANY_ROWS;
  }
  run_ready(stream, &cursor, bases);
  for (uint32_t i = 0; i < row_count; i++) {
    take_row(stream, &cursor, bases);
    run_ready(stream, &cursor, bases);
    bases[1] += stream->row_bytes;
  }
  keep(stream, arena, cursor);
  return EK_OK;
}

ek_status ek_stream_finish(const ek_stream *stream, uint8_t *const *bases) {
  const ek_cursor cursor = cursor_of(stream, bases[0]);
  if (cursor.rows != stream->input_rows) {
    return EK_INCOMPLETE;
  }
  ek_run_script(stream->script, (int32_t)cursor.entry, stream->script->length, bases);
  ek_stream_begin(stream, bases[0]);
  return EK_OK;
}
