/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_rows.h"

#include <string.h>

int32_t ek_input_row(const ek_rows_step *step, int32_t y, int32_t tap) {
  if (step->row_table != NULL) {
    return step->row_table[y * step->kernel_height + tap];
  }
  int32_t row = y * step->stride - step->pad_top + tap * step->dilation;
  if (step->upsampling != 1) {
    row = row % step->upsampling == 0 ? row / step->upsampling : -1;
  }
  return row < step->input_height ? row : -1;
}

/* Row pointers of all operands for output row y. */
static void gather(const ek_rows_step *step, uint8_t *const *bases, int32_t y, const void **rows) {
  for (int32_t i = 0; i < step->operand_count; i++) {
    for (int32_t tap = 0; tap < step->kernel_height; tap++) {
      const int32_t row = ek_input_row(step, y, tap);
      *rows++ = row < 0 ? step->padding_row : ek_map_row(&step->operands[i], bases, row);
    }
  }
}

void ek_run_region(const ek_rows_step *step, uint8_t *const *bases, const ek_region *region,
                   void *output, int32_t fill_bytes) {
  const void *rows[EK_MAX_ROWS];
  gather(step, bases, region->row, rows);
  if (step->output_fill >= 0) {
    memset(output, step->output_fill, (size_t)fill_bytes);
  }
  step->kernel(step->layer, rows, output, region, bases[0] + step->scratch);
}

void ek_run_columns(const ek_rows_step *step, uint8_t *const *bases, int32_t row, int32_t begin,
                    int32_t end) {
  const int32_t y = step->bottom_up != 0 ? step->output_height - 1 - row : row;
  const ek_region region = {y, begin, end, 0, step->output_channels};
  ek_run_region(step, bases, &region, ek_map_row(step->output, bases, y), step->fill_bytes);
}

void ek_run_row(const void *detail, uint8_t *const *bases, int32_t row) {
  const ek_rows_step *step = (const ek_rows_step *)detail;
  ek_run_columns(step, bases, row, 0, step->output_width);
}
