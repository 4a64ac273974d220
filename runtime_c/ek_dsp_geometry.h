/* SPDX-License-Identifier: Apache-2.0 */
/* How the windows of a convolution lie in its input rows: a part of layer structs. */
#ifndef EK_DSP_GEOMETRY_H
#define EK_DSP_GEOMETRY_H

#include "ek_dsp_windows.h"

enum { EK_DSP_BATCH = 12 };

/* A segment of a window is a row of the kernel where neither dilation nor channel groups interrupt
 * it, else the channels of one tap. Its last group of 4 taps overlaps the one before where its
 * length is not a multiple of 4; below 4 taps it reads behind the segment. But where has_tails,
 * each segment, a kernel row of 4 * n + 1 taps, leaves its last tap to groups of such tails behind
 * all segments. The weights of all taps that are read twice or too much are 0.
 *
 * Scratch for windows that may lie in the padding, or that are read behind the row: window_bytes +
 * 3 * pixel_step + 3 bytes for each kernel row, of at most EK_DSP_BATCH. */
typedef struct {
  ek_dsp_windows windows;
  int32_t row_segments; /* of a kernel row */
  int32_t segment_step; /* bytes from one to the next */
  int32_t has_tails;    /* 0, or 1: kernel_height is at most EK_DSP_BATCH */
  int32_t row_bytes;    /* input: width * channels */
  int32_t kernel_height;
  int32_t window_bytes; /* from the first byte of a window's row to behind the last that is read */
  int32_t pad_bytes;    /* from the first window to the row */
  int32_t input_zero_point;
} ek_dsp_geometry;

#endif
