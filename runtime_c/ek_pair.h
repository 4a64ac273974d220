/* SPDX-License-Identifier: Apache-2.0 */
/* Two layers that share the rows between them one block of channels at a time.
 *
 * The producer computes all channels from all of its input's (a 1x1 or other convolution), the
 * consumer works channel by channel (depthwise, pooling). So the map between them need never
 * exist: of the window of the consumer, the kept rows serve all blocks, and the rows that are new
 * are computed for one block at a time into a tile. (Primitives F, R and E of the schedule; the
 * inverted bottleneck of MobileNetV2 is their reason.) */
#ifndef EK_PAIR_H
#define EK_PAIR_H

#include "ek_rows.h"

/* Row r of the map between lies, for each block, at slot r % kept_rows of the kept rows where that
 * slot does not hold a row that is still needed, else in the tile, from where it moves to its slot
 * when the consumer is done. kept_rows: 0: nothing is kept, every window is computed anew.
 * kept_block_bytes: from one block's kept rows to the next one's. tile_rows: new rows of a window.
 * block_row_bytes: of one row of a whole block. */
typedef struct {
  const ek_rows_step *producer;
  const ek_rows_step *consumer;
  int32_t producer_index; /* for EK_LAYER_HOOK */
  int32_t consumer_index;
  int32_t channels;
  int32_t block_channels;
  int32_t block_row_bytes;
  int32_t kept_rows;
  int32_t kept_block_bytes;
  uint32_t kept; /* bytes from the start of the arena */
  uint32_t tile;
  int32_t first_rows; /* rows that are computed ahead of the first window */
} ek_pair;

/* Computes row row of the map between for all blocks, into its slots; detail is an ek_pair. */
void ek_run_pair_ahead(const void *detail, uint8_t *const *bases, int32_t row);

/* Computes row row of the consumer's output, block by block; detail is an ek_pair. */
void ek_run_pair_row(const void *detail, uint8_t *const *bases, int32_t row);

/* Computes the consumer's whole output, one block after the other; detail is an ek_pair whose
 * kept rows span a window and serve one block at a time. */
void ek_run_pair_map(const void *detail, uint8_t *const *bases, int32_t row);

#endif
