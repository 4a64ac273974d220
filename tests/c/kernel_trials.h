/* SPDX-License-Identifier: Apache-2.0 */
/* One kernel over a whole map, and the bytes that it must leave behind. */
#ifndef KERNEL_TRIALS_H
#define KERNEL_TRIALS_H

#include "ek_kernel.h"

enum { TRIAL_GUARD_BYTES = 16 };

typedef struct {
  const char *name;
  ek_rows_kernel rows_kernel; /* or NULL */
  ek_map_kernel map_kernel;   /* or NULL */
  const void *layer;
  const int8_t *input; /* all operands, one behind the other */
  int32_t input_bytes;
  const int8_t *padding_row;
  const int32_t *row_offsets; /* [rows][row_pointers] bytes from input, -1: the padding row */
  int32_t rows;
  int32_t row_pointers;
  const ek_region *ranges; /* every row is computed in these; their rows are 0 */
  int32_t range_count;
  int32_t output_row_bytes; /* from one row to the next; 0: each call finds the whole output */
  const int8_t *before;     /* the output and a guard on both sides */
  const int8_t *after;
  int32_t output_bytes;
  int32_t scratch_bytes;
} kernel_trial;

extern const kernel_trial kernel_trials[];
extern const int32_t kernel_trial_count;

/* Closes what lies between the tables of the trials. */
void kernel_trials_close_gaps(void);

#endif
