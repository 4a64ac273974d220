/* SPDX-License-Identifier: Apache-2.0 */
/* A border that repeats elements of an int8 map, row by row: mirrored, the edge again, or the other
 * side. */
#ifndef EK_MIRROR_PAD_S8_H
#define EK_MIRROR_PAD_S8_H

#include "ek_kernel.h"

/* output[x][c] = row[columns[x]][channels[c]] */
typedef struct {
  const uint16_t *columns;  /* [output width] */
  const uint16_t *channels; /* [output_channels] */
  int32_t input_channels;
  int32_t output_channels;
} ek_mirror_pad_s8;

/* rows: one pointer, to [input width][input_channels].
 * output: [output width][output_channels]. No scratch. */
void ek_mirror_pad_s8__ref(const void *layer, const void *const *rows, void *output,
                           const ek_region *region, void *scratch);

#endif
