/* SPDX-License-Identifier: Apache-2.0 */
/* How the taps of output pixels become lanes: a part of layer structs. */
#ifndef EK_DSP_WINDOWS_H
#define EK_DSP_WINDOWS_H

#include <stdint.h>

/* A window is made of segments of adjacent bytes, a segment of groups of 4 taps. */
typedef struct {
  int32_t segment_bytes; /* of a segment, in whole groups: 4, 8, ... */
  int32_t overlap; /* 0, or one more group begins so many bytes (1 to 3) before the end of these */
  int32_t pixel_step; /* bytes from one output pixel's window to the next one's */
} ek_dsp_windows;

#endif
