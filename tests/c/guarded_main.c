/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a model that is known by its header alone, with every buffer against a page that faults.
 *
 * Usage: guarded begin|end INPUTS OUTPUTS
 *
 * "begin": the input, the output and the arena start right behind a guard page; "end": they end
 * right before one, the arena as near to it as its alignment allows. INPUTS holds any number of
 * inputs one after the other, OUTPUTS gets as many outputs. Exit code 0, or the line that failed.
 */
#define _DEFAULT_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model.h"

#define CHECK(condition)                                                                           \
  do {                                                                                             \
    if (!(condition)) {                                                                            \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                              \
      return 1;                                                                                    \
    }                                                                                              \
  } while (0)

typedef struct {
  uint8_t *pages; /* between the guards */
  size_t page_bytes;
  uint8_t *data;
  size_t bytes;
} guarded;

/* bytes of memory between two guard pages; the rest of its last page holds a canary. */
static int allocate(guarded *memory, size_t bytes, size_t align, int at_end) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  const size_t used = (bytes + page - 1) / page * page;
  uint8_t *all = mmap(NULL, used + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) {
    return 0;
  }
  memory->pages = all + page;
  memory->page_bytes = used;
  memory->bytes = bytes;
  memory->data = memory->pages + (at_end ? (used - bytes) / align * align : 0);
  return used == 0 || mprotect(memory->pages, used, PROT_READ | PROT_WRITE) == 0;
}

static uint8_t canary(const guarded *memory, size_t i) {
  return (uint8_t)(0xC3u ^ (((uintptr_t)memory->pages + i) & 0x3Fu));
}

static int is_inside(const guarded *memory, size_t i) {
  const size_t first = (size_t)(memory->data - memory->pages);
  return i >= first && i < first + memory->bytes;
}

static void paint(const guarded *memory, uint8_t value) {
  for (size_t i = 0; i < memory->page_bytes; i++) {
    memory->pages[i] = is_inside(memory, i) ? value : canary(memory, i);
  }
}

static int canary_is_alive(const guarded *memory) {
  for (size_t i = 0; i < memory->page_bytes; i++) {
    if (!is_inside(memory, i) && memory->pages[i] != canary(memory, i)) {
      return 0;
    }
  }
  return 1;
}

static int is_painted(const guarded *memory, uint8_t value) {
  for (size_t i = 0; i < memory->bytes; i++) {
    if (memory->data[i] != value) {
      return 0;
    }
  }
  return 1;
}

static int refuses_bad_arguments(const guarded *input, const guarded *output,
                                 const guarded *arena) {
  const int8_t *in = (const int8_t *)input->data;
  int8_t *out = (int8_t *)output->data;
  uint8_t *memory = arena->data;
  paint(output, 0x77);
  paint(arena, 0x77);
  CHECK(model_run(NULL, out, memory) == EK_BAD_ARGUMENT);
  CHECK(model_run(in, NULL, memory) == EK_BAD_ARGUMENT);
  if (MODEL_ARENA_BYTES > 0) {
    CHECK(model_run(in, out, NULL) == EK_BAD_ARGUMENT);
    for (size_t i = 1; i < MODEL_ARENA_ALIGN; i++) {
      CHECK(model_run(in, out, memory + i) == EK_BAD_ARGUMENT);
    }
  }
  CHECK(is_painted(output, 0x77) && is_painted(arena, 0x77));
  return 0;
}

static int run_all(FILE *inputs, FILE *outputs, int at_end) {
  guarded input, output, arena;
  CHECK(allocate(&input, MODEL_INPUT_BYTES, 1, at_end));
  CHECK(allocate(&output, MODEL_OUTPUT_BYTES, 1, at_end));
  CHECK(allocate(&arena, MODEL_ARENA_BYTES, MODEL_ARENA_ALIGN, at_end));
  CHECK(refuses_bad_arguments(&input, &output, &arena) == 0);
  uint8_t value = 0xA5;
  paint(&input, 0);
  while (fread(input.data, 1, input.bytes, inputs) == input.bytes) {
    CHECK(mprotect(input.pages, input.page_bytes, PROT_READ) == 0);
    paint(&output, value);
    paint(&arena, value);
    CHECK(model_run((const int8_t *)input.data, (int8_t *)output.data, arena.data) == EK_OK);
    CHECK(canary_is_alive(&input) && canary_is_alive(&output) && canary_is_alive(&arena));
    CHECK(fwrite(output.data, 1, output.bytes, outputs) == output.bytes);
    CHECK(mprotect(input.pages, input.page_bytes, PROT_READ | PROT_WRITE) == 0);
    value ^= 0xFF;
  }
  return 0;
}

int main(int argc, char **argv) {
  CHECK(argc == 4);
  CHECK(strcmp(argv[1], "begin") == 0 || strcmp(argv[1], "end") == 0);
  FILE *inputs = fopen(argv[2], "rb");
  FILE *outputs = fopen(argv[3], "wb");
  CHECK(inputs != NULL && outputs != NULL);
  CHECK(run_all(inputs, outputs, strcmp(argv[1], "end") == 0) == 0);
  CHECK(fclose(inputs) == 0 && fclose(outputs) == 0);
  return 0;
}
