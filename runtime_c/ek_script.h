/* SPDX-License-Identifier: Apache-2.0 */
/* A model as data: steps, and the order in which their rows are computed. */
#ifndef EK_SCRIPT_H
#define EK_SCRIPT_H

#include "ek_member.h"

#include <stddef.h>
#include <stdint.h>

/* A feature map, or the rows of it that are kept: row r lies at r % ring_rows. */
typedef struct {
  const void *constant; /* a map in flash, or NULL: bases[base] + offset */
  int32_t base;         /* 0: the arena; then the inputs, then the outputs */
  uint32_t offset;
  int32_t row_bytes; /* from one row to the next; 0: one row serves all */
  int32_t ring_rows; /* the height of the map where all of it is kept */
} ek_map;

/* The address of a row. Constants are never written: the cast serves both uses. */
static inline uint8_t *ek_map_row(const ek_map *map, uint8_t *const *bases, int32_t row) {
  uint8_t *start =
      map->constant != NULL ? (uint8_t *)(uintptr_t)map->constant : bases[map->base] + map->offset;
  return start + row % map->ring_rows * map->row_bytes;
}

/* Fires a step: computes its row, or the whole output of a step that has no rows. */
typedef void (*ek_step_function)(const void *detail, uint8_t *const *bases, int32_t row);

typedef struct {
  ek_step_function run;
  const void *detail;
} ek_step;

/* count firings of one step, of rows row, row + 1, ... */
typedef struct {
  uint16_t step;
  uint16_t row;
  uint16_t count;
} ek_firings;

typedef struct {
  const ek_step *steps;
  const ek_firings *firings;
  int32_t length;
} ek_script;

/* Fires the entries [begin, end) in order. */
void ek_run_script(const ek_script *script, int32_t begin, int32_t end, uint8_t *const *bases);

#endif
