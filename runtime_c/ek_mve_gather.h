/* SPDX-License-Identifier: Apache-2.0 */
/* Copies the window of a convolution out of its rows, for the Helium kernels.
 *
 * __arm in assembly, because GCC 12 forms no tail-predicated loop (3 instead of 7 instructions for
 * 16 bytes); __portable elsewhere. */
#ifndef EK_MVE_GATHER_H
#define EK_MVE_GATHER_H

#include <stdint.h>

/* to: where the bytes of the first row go; to_step: bytes from there to those of the next row.
 * rows: row_count pointers (>= 1), NULL for padding. offset: of the first byte in every row.
 * bytes: of every row, >= 1. */
typedef struct {
  int8_t *to;
  const void *const *rows;
  int32_t row_count;
  int32_t offset;
  int32_t bytes;
  int32_t to_step;
  int32_t zero_point; /* what padding is filled with */
} ek_mve_patch;

/* Assembly has the names of C. */
#ifdef __cplusplus
extern "C" {
#endif

void ek_mve_gather(const ek_mve_patch *patch);

/* Every row is padding; rows and offset count for nothing. */
void ek_mve_fill(const ek_mve_patch *patch);

#ifdef __cplusplus
}
#endif

#endif
