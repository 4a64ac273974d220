/* SPDX-License-Identifier: Apache-2.0 */
/* The step that fetches input rows through the caller's callback. */
#ifndef EK_PULL_H
#define EK_PULL_H

#include "ek_script.h"

/* Reads columns [x, x + width) of rows [y, y + height) of the input to destination, dense NHWC.
 * model.c defines it around the callback of source, whose destination has the input's type. */
typedef void (*ek_window_reader)(const void *source, int32_t y, int32_t x, int32_t height,
                                 int32_t width, void *destination);

typedef struct {
  ek_window_reader read;
  const ek_map *source; /* the place among the bases at which the source is */
  const ek_map *output;
  int32_t y; /* the first row and column that are needed, and how many columns */
  int32_t x;
  int32_t width;
} ek_pull_step;

/* Reads columns of row y + row of the input into row row of the output; detail is an ek_pull_step.
 */
void ek_run_pull(const void *detail, uint8_t *const *bases, int32_t row);

#endif
