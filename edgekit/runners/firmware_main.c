/* SPDX-License-Identifier: Apache-2.0 */
/* Runs one converted model on samples from a file, and watches what it does to its memory.
 *
 * Reads input.bin, writes output.bin (semihosting, little endian 32-bit words). input.bin: number
 * of samples, number of paints (1 or 2), two paint bytes as words, then the input tensors of every
 * sample. output.bin, per sample and paint: status, violations, touched arena bytes, used stack
 * bytes, then the output tensors. firmware_model.h is generated and describes the model; what its
 * input mode leaves to the caller changes from run to run (variant 0 and 1). */
#include "firmware_model.h"
#include "semihosting.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ALIGNMENT (EK_ARENA_ALIGN > 64 ? EK_ARENA_ALIGN : 64)
#define ARENA_GUARD ALIGNMENT
#define GUARD_BYTE 0xC3u
#define STACK_PAINT 0x5EAC5EACu /* as in timed_call.S */
#define EXIT_NO_INPUT 90u
#define EXIT_NO_OUTPUT 91u

enum {
  VIOLATION_ARENA_GUARD = 1,
  VIOLATION_INPUT = 2,
  VIOLATION_OUTPUT_GUARD = 4,
  VIOLATION_STACK = 8
};

typedef struct {
  int32_t status;
  uint32_t violations;
  uint32_t arena_touched_bytes;
  uint32_t stack_used_bytes;
} run_record;

extern uint32_t ek_stack_bottom;
uint32_t ek_call_stack;

static uint8_t guarded_arena[ARENA_GUARD + EK_ARENA_BYTES + ARENA_GUARD]
    __attribute__((aligned(ALIGNMENT)));
static uint8_t input_block[EK_INPUT_BLOCK_BYTES] __attribute__((aligned(16)));
static uint8_t output_block[EK_OUTPUT_BLOCK_BYTES] __attribute__((aligned(16)));

static void fill(uint8_t *bytes, size_t count, uint8_t value) {
  for (size_t i = 0; i < count; i++)
    bytes[i] = value;
}

static bool all_equal(const uint8_t *bytes, size_t count, uint8_t value) {
  for (size_t i = 0; i < count; i++)
    if (bytes[i] != value)
      return false;
  return true;
}

static bool gaps_equal(const uint8_t *block, size_t block_bytes, const ek_span *spans,
                       size_t span_count, uint8_t value) {
  size_t at = 0;
  for (size_t i = 0; i < span_count; i++) {
    if (!all_equal(block + at, spans[i].offset - at, value))
      return false;
    at = spans[i].offset + spans[i].bytes;
  }
  return all_equal(block + at, block_bytes - at, value);
}

/* FNV-1a */
static uint32_t hash(const uint8_t *bytes, size_t count) {
  uint32_t value = 2166136261u;
  for (size_t i = 0; i < count; i++)
    value = (value ^ bytes[i]) * 16777619u;
  return value;
}

static uint32_t used_stack_bytes(void) {
  const volatile uint32_t *word = &ek_stack_bottom;
  while ((uint32_t)word < ek_call_stack && *word == STACK_PAINT)
    word++;
  return ek_call_stack - (uint32_t)word;
}

static uint32_t touched_bytes(const uint8_t *arena, size_t bytes, uint8_t paint) {
  while (bytes > 0 && arena[bytes - 1] == paint)
    bytes--;
  return (uint32_t)bytes;
}

static run_record run_once(uint8_t paint, uint32_t variant) {
  uint8_t *arena = guarded_arena + ARENA_GUARD;
  const uint8_t output_paint = (uint8_t)~paint;
  fill(guarded_arena, sizeof guarded_arena, GUARD_BYTE);
  fill(arena, EK_ARENA_BYTES, paint);
  fill(output_block, sizeof output_block, output_paint);
  const uint32_t input_hash = hash(input_block, sizeof input_block);
  run_record record = {0, 0, 0, 0};
  record.status = ek_invoke(input_block, output_block, arena, variant);
  record.stack_used_bytes = used_stack_bytes();
  if (*(volatile uint32_t *)&ek_stack_bottom != STACK_PAINT)
    record.violations |= VIOLATION_STACK;
  record.arena_touched_bytes = touched_bytes(arena, EK_ARENA_BYTES, paint);
  if (!all_equal(guarded_arena, ARENA_GUARD, GUARD_BYTE) ||
      !all_equal(arena + EK_ARENA_BYTES, ARENA_GUARD, GUARD_BYTE))
    record.violations |= VIOLATION_ARENA_GUARD;
  if (hash(input_block, sizeof input_block) != input_hash)
    record.violations |= VIOLATION_INPUT;
  if (!gaps_equal(output_block, sizeof output_block, ek_outputs, EK_OUTPUT_COUNT, output_paint))
    record.violations |= VIOLATION_OUTPUT_GUARD;
  return record;
}

static void read_or_exit(int32_t file, void *destination, size_t bytes) {
  if (ek_semihosting_read(file, destination, bytes) != 0)
    ek_semihosting_exit(EXIT_NO_INPUT);
}

static void write_or_exit(int32_t file, const void *source, size_t bytes) {
  if (ek_semihosting_write(file, source, bytes) != 0)
    ek_semihosting_exit(EXIT_NO_OUTPUT);
}

int main(void) {
  const int32_t input = ek_semihosting_open("input.bin", 9, EK_OPEN_READ_BINARY);
  if (input < 0)
    ek_semihosting_exit(EXIT_NO_INPUT);
  const int32_t output = ek_semihosting_open("output.bin", 10, EK_OPEN_WRITE_BINARY);
  if (output < 0)
    ek_semihosting_exit(EXIT_NO_OUTPUT);
  uint32_t header[4];
  read_or_exit(input, header, sizeof header);
  fill(input_block, sizeof input_block, GUARD_BYTE);
  for (uint32_t sample = 0; sample < header[0]; sample++) {
    for (size_t i = 0; i < EK_INPUT_COUNT; i++)
      read_or_exit(input, input_block + ek_inputs[i].offset, ek_inputs[i].bytes);
    for (uint32_t paint = 0; paint < header[1]; paint++) {
      const run_record record = run_once((uint8_t)header[2 + paint], (sample + paint) & 1u);
      write_or_exit(output, &record, sizeof record);
      for (size_t i = 0; i < EK_OUTPUT_COUNT; i++)
        write_or_exit(output, output_block + ek_outputs[i].offset, ek_outputs[i].bytes);
    }
  }
  ek_semihosting_close(input);
  ek_semihosting_close(output);
  return 0;
}
