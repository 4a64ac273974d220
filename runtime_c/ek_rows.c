/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_rows.h"

#include <string.h>

/* The input row at a position, -1 where there is none. */
static int32_t row_at(int32_t position, int32_t upsampling) {
  if (upsampling == 1) {
    return position;
  }
  return position % upsampling == 0 ? position / upsampling : -1;
}

/* Row pointers of all operands for output row y. */
static void gather(const ek_rows_loop *loop, const void *const *operands, int32_t y,
                   const void **rows) {
  for (int32_t i = 0; i < loop->operand_count; i++) {
    int32_t position = y * loop->stride - loop->pad_top;
    for (int32_t k = 0; k < loop->kernel_height; k++, position += loop->dilation) {
      const int32_t row = row_at(position, loop->upsampling);
      const int outside = row < 0 || row >= loop->input_height;
      const int8_t *base = operands[i];
      *rows++ = outside ? loop->padding_row : base + row * loop->operand_row_bytes[i];
    }
  }
}

void ek_run_rows(const ek_rows_loop *loop, const void *const *operands, void *output,
                 void *scratch) {
  const void *rows[EK_MAX_ROWS];
  ek_region region = {0, 0, loop->output_width, 0, loop->output_channels};
  for (int32_t i = 0; i < loop->output_height; i++) {
    const int32_t y = loop->bottom_up != 0 ? loop->output_height - 1 - i : i;
    int8_t *out = (int8_t *)output + y * loop->output_row_bytes;
    gather(loop, operands, y, rows);
    if (loop->output_fill >= 0) {
      memset(out, loop->output_fill, (size_t)loop->output_row_bytes);
    }
    region.row = y;
    loop->kernel(loop->layer, rows, out, &region, scratch);
  }
}
