/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a model in slices on zeros and prints "slice" in front of each; see slices_trace.h. */
#define _POSIX_C_SOURCE 200112L
#include "model.h"

#include "checks.h"

#include <string.h>

#ifndef STREAMED

static int run(int8_t *input, int8_t *output, uint8_t *arena) {
  ek_position position = {0, 0};
  ek_status status = EK_INCOMPLETE;
  while (status == EK_INCOMPLETE) {
    printf("slice\n");
    status = model_step(input, output, arena, &position);
  }
  CHECK(position.entry == 0 && position.slice == 0);
  const ek_position behind = {UINT32_MAX, 0};
  position = behind;
  CHECK(model_step(input, output, arena, &position) == EK_BAD_ARGUMENT);
  CHECK(model_step(input, output, arena, NULL) == EK_BAD_ARGUMENT);
  return status == EK_OK;
}

#else

static void steps(int8_t *output, uint8_t *arena) {
  ek_status status = EK_INCOMPLETE;
  while (status == EK_INCOMPLETE) {
    printf("slice\n");
    status = model_step(arena, output);
  }
  CHECK(status == EK_OK);
}

static int run(int8_t *input, int8_t *output, uint8_t *arena) {
  model_begin(arena);
  CHECK(model_step(NULL, output) == EK_BAD_ARGUMENT);
  CHECK(model_step(arena, NULL) == EK_BAD_ARGUMENT);
  steps(output, arena);
  for (uint32_t y = 0; y < MODEL_INPUT_ROWS; y++) {
    printf("row\n");
    CHECK(model_push_rows(arena, input + y * MODEL_INPUT_ROW_BYTES, 1) == EK_OK);
    steps(output, arena);
  }
  printf("finish\n");
  return model_finish(arena, output) == EK_OK;
}

#endif

int main(void) {
  int8_t *input = (int8_t *)allocate(MODEL_INPUT_BYTES, 1);
  int8_t *output = (int8_t *)allocate(MODEL_OUTPUT_BYTES, 1);
  uint8_t *arena = allocate(MODEL_ARENA_BYTES, MODEL_ARENA_ALIGN);
  memset(input, 0, MODEL_INPUT_BYTES);
  CHECK(run(input, output, arena));
  for (int32_t i = 0; i < MODEL_OUTPUT_BYTES; i++) {
    printf("output %d\n", output[i]);
  }
  free(input);
  free(output);
  free(arena);
  return 0;
}
