/* SPDX-License-Identifier: Apache-2.0 */
/* 1x1 convolution of int8 NHWC rows with weights packed for the DSP instructions. */
#ifndef EK_POINTWISE_S8_H
#define EK_POINTWISE_S8_H

#include "ek_dsp_pairs.h"
#include "ek_dsp_windows.h"
#include "ek_kernel.h"

/* The window of a pixel is one segment, its channels; 4 or more. */
typedef struct {
  ek_dsp_pairs pairs;
  ek_dsp_windows windows;
} ek_pointwise_s8;

/* rows: one pointer to [region->column_end][windows.pixel_step]; nothing behind that is read.
 * output: NHWC [region->column_end][channels of the block], or row-planar
 *         [channels of the block][channel_step] (edgekit/layout.py); padding is not written.
 * A block begins at an even channel and ends at an even one or behind the last.
 * scratch: 8 bytes per input channel, rounded up to 4 channels; EK_DSP_GENERAL: 32 bytes more.
 * Writes the pixels of a tile of 4 after it has read them; in row-planar form all over the row.
 * Needs unaligned word loads (CCR.UNALIGN_TRP = 0, as after reset). */
void ek_pointwise_s8__dsp_4x2(const void *layer, const void *const *rows, void *output,
                              const ek_region *region, void *scratch);

#endif
