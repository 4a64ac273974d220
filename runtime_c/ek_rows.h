/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of a model whose kernel computes one output row at a time, from maps or rings of rows. */
#ifndef EK_ROWS_H
#define EK_ROWS_H

#include "ek_kernel.h"
#include "ek_script.h"

enum {
  EK_MAX_ROWS = 64,     /* row pointers of one call: kernel rows times operands */
  EK_MAX_PAIR_ROWS = 16 /* rows of a window of the consumer of two layers that share rows */
};

/* The input rows of output row y, of every operand: row_table[y * kernel_height + r], or without
 * a table position p = y * stride - pad_top + r * dilation, which is row p / upsampling where that
 * is a whole number inside the map, else padding. */
typedef struct {
  ek_rows_kernel kernel;
  const void *layer;
  const void *padding_row;   /* what stands for rows outside the map; may be NULL */
  const uint16_t *row_table; /* or NULL */
  const ek_map *operands;
  const ek_map *output;
  uint32_t scratch; /* bytes from the start of the arena */
  int32_t operand_count;
  int32_t kernel_height;
  int32_t stride;
  int32_t dilation;
  int32_t pad_top;
  int32_t upsampling; /* positions from one input row to the next, >= 1 */
  int32_t input_height;
  int32_t output_height;
  int32_t output_width;
  int32_t output_channels;
  int32_t output_fill; /* byte that an output row is set to before it is computed, or -1 */
  int32_t fill_bytes;  /* of an output row */
  int32_t bottom_up;   /* 1: the last row is computed first */
} ek_rows_step;

/* Computes one row, counted from the end that is computed first; detail is an ek_rows_step. */
void ek_run_row(const void *detail, uint8_t *const *bases, int32_t row);

/* Computes columns [begin, end) of a row, counted like the row of ek_run_row. */
void ek_run_columns(const ek_rows_step *step, uint8_t *const *bases, int32_t row, int32_t begin,
                    int32_t end);

/* Computes the channels of region of output row region->row into output. */
void ek_run_region(const ek_rows_step *step, uint8_t *const *bases, const ek_region *region,
                   void *output, int32_t fill_bytes);

/* Input row of operand 0 under tap of output row y: inside the map, or -1. */
int32_t ek_input_row(const ek_rows_step *step, int32_t y, int32_t tap);

#endif
