/* SPDX-License-Identifier: Apache-2.0 */
/* 2-D convolution of int8 NHWC rows with weights packed for the DSP instructions, any geometry. */
#ifndef EK_CONV2D_S8_PACKED_H
#define EK_CONV2D_S8_PACKED_H

#include "ek_dsp_pairs.h"
#include "ek_dsp_windows.h"
#include "ek_kernel.h"

enum { EK_CONV2D_BATCH = 16 };

/* A segment of a window is a row of the kernel where neither dilation nor channel groups interrupt
 * it, else the channels of one tap. Its last group of 4 taps overlaps the one before where its
 * length is not a multiple of 4; below 4 taps it reads behind the segment. But where has_tails,
 * each segment, a kernel row of 4 * n + 1 taps, leaves its last tap to groups of such tails behind
 * all segments. The weights of all taps that are read twice or too much are 0. packed of pairs:
 * channel group after channel group, each with whole pairs of its own. */
typedef struct {
  ek_dsp_pairs pairs;
  ek_dsp_windows windows;
  int32_t row_segments; /* of a kernel row */
  int32_t segment_step; /* bytes from one to the next */
  int32_t has_tails;    /* 0, or 1: kernel_height is at most EK_CONV2D_BATCH */
  int32_t row_bytes;    /* input: width * channels */
  int32_t channel_groups;
  int32_t group_inputs; /* channels, as the next */
  int32_t group_outputs;
  int32_t kernel_height;
  int32_t window_bytes; /* from the first byte of a window's row to behind the last that is read */
  int32_t pad_bytes;    /* from the first window to the row */
  int32_t input_zero_point;
} ek_conv2d_s8_packed;

/* rows: kernel_height pointers to [row_bytes], NULL for padding.
 * output: as in ek_pointwise_s8.h; a block of channels only where channel_groups is 1.
 * scratch: 32 bytes per group of 4 taps; EK_DSP_GENERAL: 32 bytes more; where a window may lie in
 *          the padding, or read behind the row: window_bytes + 3 * pixel_step + 3 bytes more for
 *          each kernel row, of at most EK_CONV2D_BATCH.
 * Needs unaligned word loads (CCR.UNALIGN_TRP = 0, as after reset). */
void ek_conv2d_s8_packed__dsp_4x2(const void *layer, const void *const *rows, void *output,
                                  const ek_region *region, void *scratch);

#endif
