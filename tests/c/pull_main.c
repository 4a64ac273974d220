/* SPDX-License-Identifier: Apache-2.0 */
/* Lets the model fetch every input in INPUTS through a callback that checks what it is asked for,
 * and writes OUTPUTS.
 *
 * Usage: pull INPUTS OUTPUTS. Exit code 0, or 1 and the line that failed. WIDTH and CHANNELS of
 * the input are defined on the command line, and FURTHEST_X: the first column of the window that
 * begins furthest to the right, if that is not 0. */
#define _POSIX_C_SOURCE 200112L
#include "model.h"

#include "checks.h"

#include <string.h>

#ifndef FURTHEST_X
#define FURTHEST_X 0
#endif

typedef struct {
  const int8_t *image;
  const uint8_t *arena;
  int calls;
  int32_t furthest_x;
} camera;

static void read_camera(void *context, int32_t y, int32_t x, int32_t height, int32_t width,
                        int8_t *destination) {
  camera *source = context;
  CHECK(y >= 0 && height > 0 && y + height <= MODEL_INPUT_ROWS);
  CHECK(x >= 0 && width > 0 && x + width <= WIDTH);
  CHECK((uint8_t *)destination >= source->arena);
  CHECK((uint8_t *)destination + height * width * CHANNELS <= source->arena + MODEL_ARENA_BYTES);
  for (int32_t row = 0; row < height; row++) {
    memcpy(destination + row * width * CHANNELS, source->image + ((y + row) * WIDTH + x) * CHANNELS,
           (size_t)(width * CHANNELS));
  }
  source->calls++;
  source->furthest_x = x > source->furthest_x ? x : source->furthest_x;
}

static void refuse_bad_arguments(const model_source *source, int8_t *output, uint8_t *arena) {
  const model_source unreadable = {source->context, NULL};
  CHECK(model_run(NULL, output, arena) == EK_BAD_ARGUMENT);
  CHECK(model_step(source, output, arena, NULL) == EK_BAD_ARGUMENT);
  CHECK(model_run(&unreadable, output, arena) == EK_BAD_ARGUMENT);
  CHECK(model_run(source, NULL, arena) == EK_BAD_ARGUMENT);
  CHECK(model_run(source, output, NULL) == EK_BAD_ARGUMENT);
  for (size_t i = 1; i < MODEL_ARENA_ALIGN; i++) {
    CHECK(model_run(source, output, arena + i) == EK_BAD_ARGUMENT);
  }
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  CHECK(MODEL_INPUT_ROWS * MODEL_INPUT_ROW_BYTES == MODEL_INPUT_BYTES);
  CHECK(WIDTH * CHANNELS == MODEL_INPUT_ROW_BYTES);
  FILE *inputs = fopen(argv[1], "rb");
  FILE *outputs = fopen(argv[2], "wb");
  CHECK(inputs != NULL && outputs != NULL);
  uint8_t *arena = allocate(MODEL_ARENA_BYTES, MODEL_ARENA_ALIGN);
  int8_t *image = allocate(MODEL_INPUT_BYTES, 1);
  int8_t *output = allocate(MODEL_OUTPUT_BYTES, 1);
  camera state = {image, arena, 0, 0};
  const model_source source = {&state, read_camera};
  refuse_bad_arguments(&source, output, arena);
  CHECK(state.calls == 0);
  while (fread(image, 1, MODEL_INPUT_BYTES, inputs) == MODEL_INPUT_BYTES) {
    memset(arena, state.calls, MODEL_ARENA_BYTES);
    CHECK(model_run(&source, output, arena) == EK_OK);
    CHECK(fwrite(output, 1, MODEL_OUTPUT_BYTES, outputs) == MODEL_OUTPUT_BYTES);
  }
  CHECK(state.calls > 0 && state.furthest_x == FURTHEST_X);
  free(arena);
  free(image);
  free(output);
  CHECK(fclose(inputs) == 0 && fclose(outputs) == 0);
  return 0;
}
