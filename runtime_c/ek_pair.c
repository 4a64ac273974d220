/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_pair.h"
#include "ek_hook.h"

#include <string.h>

typedef struct {
  int32_t channel_begin;
  int32_t channel_end;
  uint8_t *kept;
} block;

enum { PADDING, KEPT, NEW_KEPT, NEW_IN_TILE, NEW_TO_MOVE };

/* Where the rows of a window lie, which is the same for every block. */
typedef struct {
  int32_t y;
  int32_t first_row;
  int32_t tile_bytes;
  int32_t offsets[EK_MAX_PAIR_ROWS]; /* in the kept rows of a block, or in the tile */
  int8_t places[EK_MAX_PAIR_ROWS];
} window;

static block block_at(const ek_pair *pair, uint8_t *const *bases, int32_t channel) {
  const int32_t end = channel + pair->block_channels;
  const int32_t number = channel / pair->block_channels;
  const block found = {channel, end < pair->channels ? end : pair->channels,
                       bases[0] + pair->kept + number * pair->kept_block_bytes};
  return found;
}

static int32_t slot_of(const ek_pair *pair, int32_t row) {
  return pair->kept_rows > 0 ? row % pair->kept_rows * pair->block_row_bytes : 0;
}

/* Rows of the map between that earlier firings have computed; windows above it need none. */
static int32_t rows_before(const ek_pair *pair, int32_t y) {
  const ek_rows_step *consumer = pair->consumer;
  const int32_t rows = (y - 1) * consumer->stride - consumer->pad_top + consumer->kernel_height;
  if (pair->kept_rows == 0) {
    return 0;
  }
  if (y == 0) {
    return pair->first_rows;
  }
  return rows > 0 ? rows : 0;
}

static void find_window(const ek_pair *pair, int32_t y, window *found) {
  const ek_rows_step *consumer = pair->consumer;
  const int32_t before = rows_before(pair, y);
  const int32_t first = y * consumer->stride - consumer->pad_top;
  const int32_t needed = first > 0 ? first : 0;
  found->y = y;
  found->first_row = first;
  found->tile_bytes = 0;
  for (int32_t tap = 0; tap < consumer->kernel_height; tap++) {
    const int32_t row = first + tap;
    found->offsets[tap] = slot_of(pair, row);
    if (row < 0 || row >= consumer->input_height) {
      found->places[tap] = PADDING;
    } else if (row < before) {
      found->places[tap] = KEPT;
    } else if (pair->kept_rows > 0 && row - pair->kept_rows < needed) {
      found->places[tap] = NEW_KEPT;
    } else {
      const int moves = pair->kept_rows > 0 && row >= first + consumer->stride;
      found->places[tap] = moves != 0 ? NEW_TO_MOVE : NEW_IN_TILE;
      found->offsets[tap] = found->tile_bytes;
      found->tile_bytes += pair->block_row_bytes;
    }
  }
}

/* What a layout pads its rows with is written once: it is never overwritten. */
static void fill(const ek_pair *pair, uint8_t *rows, int32_t bytes) {
  if (pair->producer->output_fill >= 0) {
    memset(rows, pair->producer->output_fill, (size_t)bytes);
  }
}

static void fill_kept(const ek_pair *pair, uint8_t *const *bases) {
  const int32_t blocks = (pair->channels + pair->block_channels - 1) / pair->block_channels;
  const int32_t block_bytes = pair->kept_rows * pair->block_row_bytes;
  fill(pair, bases[0] + pair->kept, (blocks - 1) * pair->kept_block_bytes + block_bytes);
}

static void produce(const ek_pair *pair, uint8_t *const *bases, const block *at, int32_t row,
                    uint8_t *output) {
  const ek_region region = {row, 0, pair->producer->output_width, at->channel_begin,
                            at->channel_end};
  EK_LAYER_HOOK(pair->producer_index);
  ek_run_region(pair->producer, bases, &region, output, 0);
}

static void run_block(const ek_pair *pair, uint8_t *const *bases, const block *at,
                      const window *seen) {
  const ek_rows_step *consumer = pair->consumer;
  const void *rows[EK_MAX_PAIR_ROWS];
  uint8_t *tile = bases[0] + pair->tile;
  for (int32_t tap = 0; tap < consumer->kernel_height; tap++) {
    const int8_t place = seen->places[tap];
    uint8_t *row = (place >= NEW_IN_TILE ? tile : at->kept) + seen->offsets[tap];
    rows[tap] = place == PADDING ? consumer->padding_row : row;
    if (place >= NEW_KEPT) {
      produce(pair, bases, at, seen->first_row + tap, row);
    }
  }
  const ek_region region = {seen->y, 0, consumer->output_width, at->channel_begin, at->channel_end};
  EK_LAYER_HOOK(pair->consumer_index);
  consumer->kernel(consumer->layer, rows, ek_map_row(consumer->output, bases, seen->y), &region,
                   bases[0] + consumer->scratch);
  for (int32_t tap = 0; tap < consumer->kernel_height; tap++) {
    if (seen->places[tap] == NEW_TO_MOVE) {
      uint8_t *slot = at->kept + slot_of(pair, seen->first_row + tap);
      memcpy(slot, rows[tap], (size_t)pair->block_row_bytes);
    }
  }
}

void ek_run_pair_ahead(const void *detail, uint8_t *const *bases, int32_t row) {
  const ek_pair *pair = (const ek_pair *)detail;
  if (row == 0) {
    fill_kept(pair, bases);
  }
  for (int32_t channel = 0; channel < pair->channels; channel += pair->block_channels) {
    const block at = block_at(pair, bases, channel);
    produce(pair, bases, &at, row, at.kept + slot_of(pair, row));
  }
}

void ek_run_pair_row(const void *detail, uint8_t *const *bases, int32_t row) {
  const ek_pair *pair = (const ek_pair *)detail;
  window seen;
  find_window(pair, row, &seen);
  if (row == 0 && pair->first_rows == 0) {
    fill_kept(pair, bases);
  }
  fill(pair, bases[0] + pair->tile, seen.tile_bytes);
  for (int32_t channel = 0; channel < pair->channels; channel += pair->block_channels) {
    const block at = block_at(pair, bases, channel);
    run_block(pair, bases, &at, &seen);
  }
}

void ek_run_pair_map(const void *detail, uint8_t *const *bases, int32_t row) {
  const ek_pair *pair = (const ek_pair *)detail;
  (void)row;
  fill_kept(pair, bases);
  for (int32_t channel = 0; channel < pair->channels; channel += pair->block_channels) {
    const block at = block_at(pair, bases, channel);
    for (int32_t y = 0; y < pair->consumer->output_height; y++) {
      window seen;
      find_window(pair, y, &seen);
      run_block(pair, bases, &at, &seen);
    }
  }
}
