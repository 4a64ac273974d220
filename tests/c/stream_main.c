/* SPDX-License-Identifier: Apache-2.0 */
/* Pushes the rows of every input in INPUTS, misuses the functions on the way, and writes OUTPUTS.
 *
 * Usage: stream INPUTS OUTPUTS. Exit code 0, or 1 and the line that failed. */
#define _POSIX_C_SOURCE 200112L
#include "model.h"

#include "checks.h"

#include <string.h>

enum { ROWS = MODEL_INPUT_ROWS, ROW_BYTES = MODEL_INPUT_ROW_BYTES };

/* From memory of their own, which is gone when the model has taken them. */
static ek_status push(void *arena, const uint8_t *rows, uint32_t count) {
  uint8_t *copy = allocate((size_t)count * ROW_BYTES + 1, 1);
  memcpy(copy, rows, (size_t)count * ROW_BYTES);
  const ek_status status = model_push_rows(arena, (int8_t *)copy, count);
  CHECK(memcmp(copy, rows, (size_t)count * ROW_BYTES) == 0);
  free(copy);
  return status;
}

static void refuse_bad_arguments(uint8_t *arena, const uint8_t *rows, int8_t *output) {
  uint8_t *before = allocate(MODEL_ARENA_BYTES, 8);
  memcpy(before, arena, MODEL_ARENA_BYTES);
  model_begin(NULL);
  for (size_t i = 1; i < MODEL_ARENA_ALIGN; i++) {
    model_begin(arena + i);
    CHECK(model_push_rows(arena + i, (const int8_t *)rows, 1) == EK_BAD_ARGUMENT);
    CHECK(model_finish(arena + i, output) == EK_BAD_ARGUMENT);
  }
  CHECK(model_push_rows(NULL, (const int8_t *)rows, 1) == EK_BAD_ARGUMENT);
  CHECK(model_push_rows(arena, NULL, 1) == EK_BAD_ARGUMENT);
  CHECK(model_finish(NULL, output) == EK_BAD_ARGUMENT);
  CHECK(model_finish(arena, NULL) == EK_BAD_ARGUMENT);
  CHECK(memcmp(before, arena, MODEL_ARENA_BYTES) == 0);
  free(before);
}

/* All rows, chunk at a time, and whatever a caller may do wrong between them. */
static void run(uint8_t *arena, const uint8_t *image, uint32_t chunk, int8_t *output) {
  uint8_t *too_many = allocate((ROWS + 1) * ROW_BYTES, 1);
  memset(too_many, 0x33, (ROWS + 1) * ROW_BYTES);
  model_begin(arena);
  for (uint32_t done = 0; done < ROWS;) {
    const uint32_t count = chunk < ROWS - done ? chunk : ROWS - done;
    CHECK(push(arena, too_many, ROWS - done + 1) == EK_TOO_MANY_ROWS);
    CHECK(model_push_rows(arena, (int8_t *)too_many, UINT32_MAX) == EK_TOO_MANY_ROWS);
    CHECK(model_finish(arena, output) == EK_INCOMPLETE);
    CHECK(push(arena, image, 0) == EK_OK);
    refuse_bad_arguments(arena, image, output);
    CHECK(push(arena, image + done * ROW_BYTES, count) == EK_OK);
    done += count;
  }
  CHECK(push(arena, too_many, 1) == EK_TOO_MANY_ROWS);
  CHECK(push(arena, too_many, 0) == EK_OK);
  CHECK(model_finish(arena, output) == EK_OK);
  free(too_many);
}

/* A run that another one follows before it is finished. */
static void abandon(uint8_t *arena, const uint8_t *image, uint32_t rows) {
  model_begin(arena);
  CHECK(push(arena, image, rows) == EK_OK);
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  FILE *inputs = fopen(argv[1], "rb");
  FILE *outputs = fopen(argv[2], "wb");
  CHECK(inputs != NULL && outputs != NULL);
  uint8_t *arena = allocate(MODEL_ARENA_BYTES, MODEL_ARENA_ALIGN);
  uint8_t *image = allocate(MODEL_INPUT_BYTES, 1);
  int8_t *output = allocate(MODEL_OUTPUT_BYTES, 1);
  memset(arena, 0xA5, MODEL_ARENA_BYTES);
  for (uint32_t chunk = 1; fread(image, 1, MODEL_INPUT_BYTES, inputs) == MODEL_INPUT_BYTES;
       chunk = 2 * chunk - 1 + (chunk == 1)) {
    abandon(arena, image, chunk < ROWS ? chunk : ROWS);
    memset(output, 0x77, MODEL_OUTPUT_BYTES);
    run(arena, image, chunk < ROWS ? chunk : ROWS, output);
    CHECK(fwrite(output, 1, MODEL_OUTPUT_BYTES, outputs) == MODEL_OUTPUT_BYTES);
  }
  free(arena);
  free(image);
  free(output);
  CHECK(fclose(inputs) == 0 && fclose(outputs) == 0);
  return 0;
}
