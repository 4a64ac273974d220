/* SPDX-License-Identifier: Apache-2.0 */
/* Steps that have no rows: kernels of whole maps, and copies. */
#ifndef EK_MAPS_H
#define EK_MAPS_H

#include "ek_kernel.h"
#include "ek_script.h"

enum { EK_MAX_MAPS = 64 }; /* maps that a map kernel reads */

typedef struct {
  ek_map_kernel kernel;
  const void *layer;
  const ek_map *operands;
  const ek_map *output;
  uint32_t scratch; /* bytes from the start of the arena */
  int32_t operand_count;
} ek_map_step;

typedef struct {
  const ek_map *source;
  const ek_map *output;
  uint32_t bytes;
} ek_copy_step;

/* Computes the whole output; detail is an ek_map_step. */
void ek_run_map(const void *detail, uint8_t *const *bases, int32_t row);

/* Copies row row of a source; detail is an ek_copy_step. */
void ek_run_copy(const void *detail, uint8_t *const *bases, int32_t row);

#endif
