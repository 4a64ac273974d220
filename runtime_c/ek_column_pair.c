/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_column_pair.h"
#include "ek_hook.h"

#include <string.h>

/* Columns [first, made) of the map between are in the tile, at its beginning. */
typedef struct {
  int32_t first;
  int32_t made;
} tile_columns;

static int32_t at_least(int32_t value, int32_t least) { return value < least ? least : value; }

static int32_t at_most(int32_t value, int32_t most) { return value > most ? most : value; }

/* Rows of the map between that earlier firings have computed. */
static int32_t rows_before(const ek_column_pair *pair, int32_t y) {
  const ek_rows_step *consumer = pair->consumer;
  if (pair->kept_rows == 0) {
    return 0;
  }
  if (y == 0) {
    return pair->first_rows;
  }
  return at_least((y - 1) * consumer->stride - consumer->pad_top + consumer->kernel_height, 0);
}

static uint8_t *slot_of(const ek_column_pair *pair, uint8_t *const *bases, int32_t row) {
  const int32_t row_bytes = pair->producer->output_width * pair->pixel_bytes;
  return bases[0] + pair->kept + row % pair->kept_rows * row_bytes;
}

static uint8_t *tile_row(const ek_column_pair *pair, uint8_t *const *bases, int32_t number) {
  return bases[0] + pair->tile + number * pair->tile_row_bytes;
}

/* Where column 0 of a row would lie whose column first lies at begin; it is never accessed. */
static void *column_0(uint8_t *begin, int32_t first, int32_t pixel_bytes) {
  return (void *)((uintptr_t)begin - (uintptr_t)first * (uintptr_t)pixel_bytes);
}

static void produce(const ek_column_pair *pair, uint8_t *const *bases, int32_t row, int32_t begin,
                    int32_t end, void *output) {
  const ek_region region = {row, begin, end, 0, pair->producer->output_channels};
  EK_LAYER_HOOK(pair->producer_index);
  ek_run_region(pair->producer, bases, &region, output, 0);
}

/* Row pointers of the consumer, with columns [tile->made, made) of the new rows computed. */
static void gather_tiles(const ek_column_pair *pair, uint8_t *const *bases, int32_t y,
                         const tile_columns *tile, int32_t made, const void **rows) {
  const int32_t before = rows_before(pair, y);
  int32_t number = 0;
  for (int32_t tap = 0; tap < pair->consumer->kernel_height; tap++) {
    const int32_t row = ek_input_row(pair->consumer, y, tap);
    if (row < 0) {
      rows[tap] = pair->consumer->padding_row;
    } else if (row < before) {
      rows[tap] = slot_of(pair, bases, row);
    } else {
      void *place = column_0(tile_row(pair, bases, number), tile->first, pair->pixel_bytes);
      number++;
      if (made > tile->made) {
        produce(pair, bases, row, tile->made, made, place);
      }
      rows[tap] = place;
    }
  }
}

/* Moves count bytes that begin at to + distance to to, in pieces that do not overlap. */
static void move_down(uint8_t *to, size_t distance, size_t count) {
  while (distance > 0 && count > 0) {
    const size_t piece = count < distance ? count : distance;
    memcpy(to, to + distance, piece);
    to += piece;
    count -= piece;
  }
}

/* Moves columns [tile->first, passed) of the new rows to their slots, and the rest to the front. */
static void advance(const ek_column_pair *pair, uint8_t *const *bases, int32_t y,
                    const tile_columns *tile, int32_t passed) {
  const ek_rows_step *consumer = pair->consumer;
  const int32_t before = rows_before(pair, y);
  const int32_t next = (y + 1) * consumer->stride - consumer->pad_top;
  const size_t bytes = (size_t)((passed - tile->first) * pair->pixel_bytes);
  const size_t rest = (size_t)((tile->made - passed) * pair->pixel_bytes);
  int32_t number = 0;
  for (int32_t tap = 0; tap < consumer->kernel_height; tap++) {
    const int32_t row = ek_input_row(consumer, y, tap);
    if (row < before || row < 0) {
      continue;
    }
    uint8_t *from = tile_row(pair, bases, number);
    number++;
    if (pair->kept_rows > 0 && row >= next) {
      memcpy(slot_of(pair, bases, row) + tile->first * pair->pixel_bytes, from, bytes);
    }
    move_down(from, bytes, rest);
  }
}

void ek_run_column_pair_ahead(const void *detail, uint8_t *const *bases, int32_t row) {
  const ek_column_pair *pair = (const ek_column_pair *)detail;
  produce(pair, bases, row, 0, pair->producer->output_width, slot_of(pair, bases, row));
}

void ek_run_column_pair_row(const void *detail, uint8_t *const *bases, int32_t row) {
  const ek_column_pair *pair = (const ek_column_pair *)detail;
  const ek_rows_step *consumer = pair->consumer;
  const void *rows[EK_MAX_PAIR_ROWS];
  tile_columns tile = {0, 0};
  void *output = ek_map_row(consumer->output, bases, row);
  for (int32_t begin = 0; begin < consumer->output_width; begin += pair->block_columns) {
    const int32_t end = at_most(begin + pair->block_columns, consumer->output_width);
    const int32_t next = end * pair->column_stride - pair->column_pad;
    const int32_t needed = next - pair->column_stride + pair->column_extent;
    const int32_t made = at_least(at_most(needed, pair->producer->output_width), tile.made);
    const ek_region region = {row, begin, end, 0, consumer->output_channels};
    gather_tiles(pair, bases, row, &tile, made, rows);
    tile.made = made;
    EK_LAYER_HOOK(pair->consumer_index);
    consumer->kernel(consumer->layer, rows, output, &region, bases[0] + consumer->scratch);
    const int32_t passed =
        end == consumer->output_width ? made : at_most(at_least(next, tile.first), made);
    advance(pair, bases, row, &tile, passed);
    tile.first = passed;
  }
}
