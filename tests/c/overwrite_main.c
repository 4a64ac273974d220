/* SPDX-License-Identifier: Apache-2.0 */
/* Runs every input in INPUTS twice, once from its own memory and once from its place in the arena,
 * and writes OUTPUTS.
 *
 * Usage: overwrite INPUTS OUTPUTS. Exit code 0, or 1 and the line that failed. */
#define _POSIX_C_SOURCE 200112L
#include "model.h"

#include "checks.h"

#include <string.h>

static void refuse_bad_arguments(const int8_t *input, int8_t *output, uint8_t *arena) {
  CHECK(model_run(NULL, output, arena) == EK_BAD_ARGUMENT);
  CHECK(model_step(input, output, arena, NULL) == EK_BAD_ARGUMENT);
  CHECK(model_run(input, NULL, arena) == EK_BAD_ARGUMENT);
  CHECK(model_run(input, output, NULL) == EK_BAD_ARGUMENT);
  for (size_t i = 1; i < MODEL_ARENA_ALIGN; i++) {
    CHECK(model_run(input, output, arena + i) == EK_BAD_ARGUMENT);
  }
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  CHECK(MODEL_INPUT_OFFSET + MODEL_INPUT_BYTES <= MODEL_ARENA_BYTES);
  FILE *inputs = fopen(argv[1], "rb");
  FILE *outputs = fopen(argv[2], "wb");
  CHECK(inputs != NULL && outputs != NULL);
  uint8_t *arena = allocate(MODEL_ARENA_BYTES, MODEL_ARENA_ALIGN);
  int8_t *image = allocate(MODEL_INPUT_BYTES, 1);
  int8_t *given = allocate(MODEL_INPUT_BYTES, 1);
  int8_t *output = allocate(MODEL_OUTPUT_BYTES, 1);
  int8_t *again = allocate(MODEL_OUTPUT_BYTES, 1);
  int8_t *place = (int8_t *)(arena + MODEL_INPUT_OFFSET);
  refuse_bad_arguments(image, output, arena);
  while (fread(image, 1, MODEL_INPUT_BYTES, inputs) == MODEL_INPUT_BYTES) {
    memcpy(given, image, MODEL_INPUT_BYTES);
    memset(arena, 0xA5, MODEL_ARENA_BYTES);
    CHECK(model_run(given, output, arena) == EK_OK);
    CHECK(memcmp(given, image, MODEL_INPUT_BYTES) == 0);
    memset(arena, 0x5A, MODEL_ARENA_BYTES);
    memcpy(place, image, MODEL_INPUT_BYTES);
    CHECK(model_run(place, again, arena) == EK_OK);
    CHECK(memcmp(output, again, MODEL_OUTPUT_BYTES) == 0);
    CHECK(fwrite(output, 1, MODEL_OUTPUT_BYTES, outputs) == MODEL_OUTPUT_BYTES);
  }
  free(arena);
  free(image);
  free(given);
  free(output);
  free(again);
  CHECK(fclose(inputs) == 0 && fclose(outputs) == 0);
  return 0;
}
