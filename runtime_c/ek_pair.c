/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_pair.h"
#include "ek_hook.h"

#include <string.h>

typedef struct {
  int32_t channel_begin;
  int32_t channel_end;
  uint8_t *kept;
} block;

static block block_at(const ek_pair *pair, uint8_t *const *bases, int32_t channel) {
  const int32_t end = channel + pair->block_channels;
  const int32_t number = channel / pair->block_channels;
  const block found = {channel, end < pair->channels ? end : pair->channels,
                       bases[0] + pair->kept + number * pair->kept_block_bytes};
  return found;
}

static uint8_t *slot_of(const ek_pair *pair, const block *at, int32_t row) {
  return at->kept + row % pair->kept_rows * pair->block_row_bytes;
}

static void produce(const ek_pair *pair, uint8_t *const *bases, const block *at, int32_t row,
                    uint8_t *output) {
  const ek_region region = {row, 0, pair->producer->output_width, at->channel_begin,
                            at->channel_end};
  EK_LAYER_HOOK(pair->producer_index);
  ek_run_region(pair->producer, bases, &region, output, pair->block_row_bytes);
}

/* Rows of the map between that earlier firings have computed; windows above it need none. */
static int32_t rows_before(const ek_pair *pair, int32_t y) {
  const ek_rows_step *consumer = pair->consumer;
  const int32_t rows = (y - 1) * consumer->stride - consumer->pad_top + consumer->kernel_height;
  if (y == 0) {
    return pair->first_rows;
  }
  return rows > 0 ? rows : 0;
}

static void run_block(const ek_pair *pair, uint8_t *const *bases, const block *at, int32_t y) {
  const ek_rows_step *consumer = pair->consumer;
  const void *rows[EK_MAX_PAIR_ROWS];
  const int32_t before = pair->kept_rows > 0 ? rows_before(pair, y) : 0;
  const int32_t first = y * consumer->stride - consumer->pad_top;
  const int32_t needed = first > 0 ? first : 0;
  uint8_t *tile = bases[0] + pair->tile;
  for (int32_t tap = 0; tap < consumer->kernel_height; tap++) {
    const int32_t row = ek_input_row(consumer, y, tap);
    if (row < 0) {
      rows[tap] = consumer->padding_row;
    } else if (row < before) {
      rows[tap] = slot_of(pair, at, row);
    } else {
      const int free = pair->kept_rows > 0 && row - pair->kept_rows < needed;
      uint8_t *place = free != 0 ? slot_of(pair, at, row) : tile;
      tile += free != 0 ? 0 : pair->block_row_bytes;
      produce(pair, bases, at, row, place);
      rows[tap] = place;
    }
  }
  const ek_region region = {y, 0, consumer->output_width, at->channel_begin, at->channel_end};
  EK_LAYER_HOOK(pair->consumer_index);
  consumer->kernel(consumer->layer, rows, ek_map_row(consumer->output, bases, y), &region,
                   bases[0] + consumer->scratch);
  for (int32_t tap = 0; pair->kept_rows > 0 && tap < consumer->kernel_height; tap++) {
    const int32_t row = ek_input_row(consumer, y, tap);
    if (row >= before && row >= first + consumer->stride && rows[tap] != slot_of(pair, at, row)) {
      memcpy(slot_of(pair, at, row), rows[tap], (size_t)pair->block_row_bytes);
    }
  }
}

void ek_run_pair_ahead(const void *detail, uint8_t *const *bases, int32_t row) {
  const ek_pair *pair = (const ek_pair *)detail;
  for (int32_t channel = 0; channel < pair->channels; channel += pair->block_channels) {
    const block at = block_at(pair, bases, channel);
    produce(pair, bases, &at, row, slot_of(pair, &at, row));
  }
}

void ek_run_pair_row(const void *detail, uint8_t *const *bases, int32_t row) {
  const ek_pair *pair = (const ek_pair *)detail;
  for (int32_t channel = 0; channel < pair->channels; channel += pair->block_channels) {
    const block at = block_at(pair, bases, channel);
    run_block(pair, bases, &at, row);
  }
}

void ek_run_pair_map(const void *detail, uint8_t *const *bases, int32_t row) {
  const ek_pair *pair = (const ek_pair *)detail;
  (void)row;
  for (int32_t channel = 0; channel < pair->channels; channel += pair->block_channels) {
    const block at = block_at(pair, bases, channel);
    for (int32_t y = 0; y < pair->consumer->output_height; y++) {
      run_block(pair, bases, &at, y);
    }
  }
}
