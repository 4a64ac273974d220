/* SPDX-License-Identifier: Apache-2.0 */
/* The two signatures of all kernels. */
#ifndef EK_KERNEL_H
#define EK_KERNEL_H

#include "ek_member.h"

#include <stddef.h>
#include <stdint.h>

/* The part of an output map that a call computes: columns [column_begin, column_end) of one row,
 * 0 <= column_begin <= column_end <= output width, and of them channels
 * [channel_begin, channel_end). Kernels that are not told to serve channel blocks always get all
 * channels and need not look. */
typedef struct {
  int32_t row;
  int32_t column_begin;
  int32_t column_end;
  int32_t channel_begin;
  int32_t channel_end;
} ek_region;

/* Computes columns of one output row.
 *
 * layer:   the constant parameters of the layer; each kernel's header has its type.
 * rows:    the input rows that the output row needs, top to bottom: one pointer per kernel row
 * (vertical dilation is already resolved), or one per operand of an element-wise kernel. NULL
 * stands for a row of padding, unless the kernel asks for real rows of zero point. output:  column
 * 0 of the output row; bytes outside the region stay as they are. scratch: as many bytes as the
 * kernel's entry in edgekit.ops states, 4-byte aligned; its content is lost. NULL when it states 0.
 * Inputs and output do not overlap, unless the entry's write_behind allows it.
 *
 * A kernel that accumulates is called once for every input row instead, top to bottom: region->row
 * is that row and nothing else in region counts, rows has one pointer, to it, and output is the
 * whole output, which only the call with the last row writes. Scratch keeps its content from call
 * to call; the first one finds it undefined. */
typedef void (*ek_rows_kernel)(const void *layer, const void *const *rows, void *output,
                               const ek_region *region, void *scratch);

/* Computes whole output maps from whole input maps; arguments as above. */
typedef void (*ek_map_kernel)(const void *layer, const void *const *inputs, void *output,
                              void *scratch);

#endif
