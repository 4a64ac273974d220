/* SPDX-License-Identifier: Apache-2.0 */
/* Runs row blocks from rings: input rows are pushed one by one, output rows come out one by one.
 *
 * Memory: 3 expanded rows, 2 input rows (the residual), one row between depthwise and project, one
 * output row, scratch. Prints the name of each block with a wrong row or a harmed guard. */
#include "fused_row_block.h"
#include "counting.h"
#include "platform.h"

#include <string.h>

enum { KERNEL_ROWS = 3, DELAY_ROWS = 2, GUARD_BYTES = 16, PAINT = 0x5A, REGIONS = 5 };
enum { ARENA_BYTES = 32 * 1024 };

typedef struct {
  int8_t *expanded; /* [KERNEL_ROWS][expanded_row_bytes], slot row % KERNEL_ROWS */
  int8_t *residual; /* [DELAY_ROWS][row_bytes], slot row % DELAY_ROWS */
  int8_t *filtered;
  int8_t *output;
  void *scratch;
  int8_t *guards[REGIONS];
} block_memory;

static uint32_t arena_words[ARENA_BYTES / 4];

static int8_t *take(int8_t **next, int8_t **guard, int32_t bytes) {
  int8_t *region = *next;
  *guard = region + bytes;
  *next = region + (bytes + GUARD_BYTES + 3) / 4 * 4;
  return region;
}

static block_memory lay_out(const row_block *block) {
  block_memory memory;
  int8_t *next = (int8_t *)arena_words;
  memset(arena_words, PAINT, sizeof arena_words);
  memory.expanded = take(&next, &memory.guards[0], KERNEL_ROWS * block->expanded_row_bytes);
  memory.residual = take(&next, &memory.guards[1], DELAY_ROWS * block->row_bytes);
  memory.filtered = take(&next, &memory.guards[2], block->depthwise_row_bytes);
  memory.output = take(&next, &memory.guards[3], block->row_bytes);
  memory.scratch = take(&next, &memory.guards[4], block->scratch_bytes);
  memset(memory.expanded, block->expanded_zero_point,
         (size_t)(KERNEL_ROWS * block->expanded_row_bytes));
  return memory;
}

static int8_t *expanded_row(const row_block *block, const block_memory *memory, int32_t row) {
  return memory->expanded + row % KERNEL_ROWS * block->expanded_row_bytes;
}

static int8_t *residual_row(const row_block *block, const block_memory *memory, int32_t row) {
  return memory->residual + row % DELAY_ROWS * block->row_bytes;
}

static void run(const row_block *block, const block_memory *memory, const block_step *step,
                const void *const *rows, int8_t *output) {
  const ek_region region = {0, 0, block->width, 0, step->channels};
  step->kernel(step->layer, rows, output, &region, memory->scratch);
}

static void push(const row_block *block, const block_memory *memory, int32_t row) {
  int8_t *pushed = residual_row(block, memory, row);
  const void *const rows[1] = {pushed};
  memcpy(pushed, block->input + row * block->row_bytes, (size_t)block->row_bytes);
  run(block, memory, &block->expand, rows, expanded_row(block, memory, row));
}

/* Output row row, whose window ends at input row row + 1. */
static void pull(const row_block *block, const block_memory *memory, int32_t row) {
  const void *window[KERNEL_ROWS];
  for (int32_t tap = 0; tap < KERNEL_ROWS; tap++) {
    const int32_t input_row = row - 1 + tap;
    window[tap] = input_row < 0 || input_row >= block->height
                      ? block->padding_row
                      : expanded_row(block, memory, input_row);
  }
  const void *const filtered[1] = {memory->filtered};
  const void *const operands[2] = {memory->output, residual_row(block, memory, row)};
  run(block, memory, &block->depthwise, window, memory->filtered);
  run(block, memory, &block->project, filtered, memory->output);
  run(block, memory, &block->add, operands, memory->output);
}

static int guards_hold(const block_memory *memory) {
  for (int32_t region = 0; region < REGIONS; region++) {
    for (int32_t i = 0; i < GUARD_BYTES; i++) {
      if (memory->guards[region][i] != PAINT) {
        return 0;
      }
    }
  }
  return 1;
}

static int passes(const row_block *block, int32_t number) {
  const block_memory memory = lay_out(block);
  int right = 1;
  COUNT_PART(number);
  for (int32_t pushed = 0; pushed <= block->height; pushed++) {
    if (pushed < block->height) {
      push(block, &memory, pushed);
    }
    if (pushed > 0) {
      const int8_t *expected = block->expected + (pushed - 1) * block->row_bytes;
      pull(block, &memory, pushed - 1);
      right &= memcmp(memory.output, expected, (size_t)block->row_bytes) == 0;
    }
  }
  COUNT_PART(-1);
  return right && guards_hold(&memory);
}

int main(void) {
  COUNT_START();
  for (int32_t number = 0; number < row_block_count; number++) {
    if (!passes(&row_blocks[number], number)) {
      platform_print(row_blocks[number].name);
    }
  }
  COUNT_STOP();
  platform_print("done");
  return 0;
}
