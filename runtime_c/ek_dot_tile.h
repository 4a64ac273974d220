/* SPDX-License-Identifier: Apache-2.0 */
/* Inner loops of the tuned convolutions and fully connected layers: dot products of int8 rows.
 *
 * Two implementations of one contract: __thumb1 for Armv6-M, in assembly (GCC 12 takes 6.8 instead
 * of 3.8 instructions per product, since it keeps sums where there is no room), __portable. */
#ifndef EK_DOT_TILE_H
#define EK_DOT_TILE_H

#include <stdint.h>

/* Rows of count bytes each, count >= 1; their sums stay in 32 bits. */
typedef struct {
  const int8_t *inputs[2];
  const int8_t *weights[4];
  int32_t count;
} ek_dot_tile;

/* Assembly has the names of C. */
#ifdef __cplusplus
extern "C" {
#endif

/* Adds inputs[i] . weights[c], i and c < 2, to sums[2 * i + c]. */
void ek_dot_2x2(const ek_dot_tile *tile, int32_t *sums);

/* Adds inputs[0] . weights[c] to sums[c], c < 4. */
void ek_dot_1x4(const ek_dot_tile *tile, int32_t *sums);

#ifdef __cplusplus
}
#endif

#endif
