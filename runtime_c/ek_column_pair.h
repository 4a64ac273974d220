/* SPDX-License-Identifier: Apache-2.0 */
/* Two layers that share the rows between them a block of columns at a time.
 *
 * Of the window of the consumer only the rows that the next window needs are kept. The new ones are
 * computed a few columns ahead of the consumer, into a tile, and each column moves over one of the
 * oldest kept row as soon as the consumer has passed it. So a window of k rows at stride s takes
 * k - s rows and a tile, whatever the layers compute. (Primitive D of the schedule.) */
#ifndef EK_COLUMN_PAIR_H
#define EK_COLUMN_PAIR_H

#include "ek_rows.h"

/* Row r of the map between lies at slot r % kept_rows of the kept rows, new rows one after the
 * other in the tile. Column x of the consumer's row reads columns x * column_stride - column_pad
 * and column_extent - 1 more, where they lie in the map between. */
typedef struct {
  const ek_rows_step *producer;
  const ek_rows_step *consumer;
  int32_t producer_index; /* for EK_LAYER_HOOK */
  int32_t consumer_index;
  int32_t block_columns; /* of the consumer's row that are computed at a time */
  int32_t column_stride;
  int32_t column_pad;
  int32_t column_extent;
  int32_t pixel_bytes; /* of the map between */
  int32_t kept_rows;
  uint32_t kept; /* bytes from the start of the arena */
  uint32_t tile;
  int32_t tile_row_bytes; /* from one row of the tile to the next */
  int32_t first_rows;     /* rows that are computed ahead of the first window */
} ek_column_pair;

/* Computes row row of the map between into its slot; detail is an ek_column_pair. */
void ek_run_column_pair_ahead(const void *detail, uint8_t *const *bases, int32_t row);

/* Computes row row of the consumer's output, block by block; detail is an ek_column_pair. */
void ek_run_column_pair_row(const void *detail, uint8_t *const *bases, int32_t row);

#endif
