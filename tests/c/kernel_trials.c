/* SPDX-License-Identifier: Apache-2.0 */
/* Runs kernel trials and prints the name of each that left other bytes than it must. */
#include "kernel_trials.h"
#include "counting.h"
#include "platform.h"

#include <string.h>

enum { ROW_POINTERS_MAX = 64, MAP_BYTES_MAX = 64 * 1024, SCRATCH_BYTES_MAX = 64 * 1024 };
enum { SCRATCH_PAINT = 0x5A };

static uint32_t map_words[MAP_BYTES_MAX / 4];
static uint32_t scratch_words[(SCRATCH_BYTES_MAX + 2 * TRIAL_GUARD_BYTES) / 4];

static void run(const kernel_trial *trial, const int8_t *input, int8_t *output, void *scratch) {
  const void *rows[ROW_POINTERS_MAX];
  const int32_t *offsets = trial->row_offsets;
  for (int32_t row = 0; row < trial->rows; row++, offsets += trial->row_pointers) {
    for (int32_t i = 0; i < trial->row_pointers; i++) {
      rows[i] = offsets[i] < 0 ? trial->padding_row : input + offsets[i];
    }
    if (trial->map_kernel != NULL) {
      trial->map_kernel(trial->layer, rows, output, scratch);
      continue;
    }
    for (int32_t range = 0; range < trial->range_count; range++) {
      ek_region region = trial->ranges[range];
      int8_t *output_row = output + row * trial->output_row_bytes;
      region.row = row;
      trial->rows_kernel(trial->layer, rows, output_row, &region, scratch);
    }
  }
}

static int guards_hold(const uint8_t *scratch, int32_t scratch_bytes) {
  for (int32_t i = 0; i < TRIAL_GUARD_BYTES; i++) {
    if (scratch[i] != SCRATCH_PAINT ||
        scratch[TRIAL_GUARD_BYTES + scratch_bytes + i] != SCRATCH_PAINT) {
      return 0;
    }
  }
  return 1;
}

static int equal(const int8_t *first, const int8_t *second, size_t bytes) {
  size_t same = 0;
  while (same < bytes && first[same] == second[same]) {
    same++;
  }
  return same == bytes;
}

static int passes(const kernel_trial *trial, int32_t number) {
  int8_t *map = (int8_t *)map_words;
  uint8_t *scratch = (uint8_t *)scratch_words;
  const size_t map_bytes = (size_t)(trial->output_bytes + 2 * TRIAL_GUARD_BYTES);
  int8_t *input = platform_fenced((size_t)trial->input_bytes);
  if (map_bytes > sizeof map_words || trial->scratch_bytes > SCRATCH_BYTES_MAX || input == NULL ||
      trial->row_pointers > ROW_POINTERS_MAX) {
    return 0;
  }
  memcpy(input, trial->input, (size_t)trial->input_bytes);
  memcpy(map, trial->before, map_bytes);
  memset(scratch, SCRATCH_PAINT, sizeof scratch_words);
  void *inside = trial->scratch_bytes == 0 ? NULL : scratch + TRIAL_GUARD_BYTES;
  COUNT_PART(number);
  run(trial, input, map + TRIAL_GUARD_BYTES, inside);
  COUNT_PART(-1);
  return equal(map, trial->after, map_bytes) &&
         equal(input, trial->input, (size_t)trial->input_bytes) &&
         guards_hold(scratch, trial->scratch_bytes);
}

int main(void) {
  platform_begin();
  kernel_trials_close_gaps();
  COUNT_START();
  for (int32_t number = 0; number < kernel_trial_count; number++) {
    if (!passes(&kernel_trials[number], number)) {
      platform_print(kernel_trials[number].name);
    }
  }
  COUNT_STOP();
  platform_print("done");
  return 0;
}
