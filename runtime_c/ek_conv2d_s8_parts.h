/* SPDX-License-Identifier: Apache-2.0 */
/* 2-D convolution of int8 NHWC rows, one row of the kernel after the other: for windows whose lanes
 * would take too much scratch, or whose sums do not fit a lane. */
#ifndef EK_CONV2D_S8_PARTS_H
#define EK_CONV2D_S8_PARTS_H

#include "ek_dsp_geometry.h"
#include "ek_dsp_parts.h"
#include "ek_kernel.h"

/* A part is a row of the kernel; geometry is that of one row. */
typedef struct {
  ek_dsp_parts sums;
  ek_dsp_geometry geometry;
  int32_t kernel_height;
} ek_conv2d_s8_parts;

/* rows: kernel_height pointers to [row_bytes], NULL for padding.
 * output: NHWC [region->column_end][channels of the block].
 * A block begins at an even channel and ends at an even one or behind the last.
 * scratch: 32 bytes per pair, and per group of 4 taps of a part; then that of the geometry.
 * Needs unaligned word loads (CCR.UNALIGN_TRP = 0, as after reset). */
void ek_conv2d_s8_parts__dsp_4x2(const void *layer, const void *const *rows, void *output,
                                 const ek_region *region, void *scratch);

#endif
