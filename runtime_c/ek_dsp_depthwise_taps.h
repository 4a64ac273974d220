/* SPDX-License-Identifier: Apache-2.0 */
/* The inner loops of depthwise convolutions of NHWC rows: 4 output channels of one pixel at a time.
 *
 * Two implementations of one contract, as in ek_dsp_depthwise_row.h. The taps of a pixel come as
 * pointers, so that any kernel, stride, dilation and padding is served.
 *
 * Packed parameters of a group of 4 output channels, in words:
 *   twice the biases (EK_DSP_GENERAL: the biases);
 *   for every two taps a and b, for every channel, two int16 (a, b), which are twice the weights
 *   (GENERAL: the weights); where the number of taps is odd, those of the last one as two words,
 *   channels (0, 2) and (1, 3);
 *   per channel multiplier, offset, exponent of ek_dsp_requantize.h (GENERAL: multiplier, shift,
 * 0).
 */
#ifndef EK_DSP_DEPTHWISE_TAPS_H
#define EK_DSP_DEPTHWISE_TAPS_H

#include "ek_dsp_registers.h"

#include <stddef.h>

/* Passed by value: on Arm it then lies in the caller's frame, where the loops may write. */
typedef struct {
  void *output;        /* int8_t: the first group of the first pixel; GENERAL: int32_t[groups][4] */
  int32_t output_step; /* bytes from one group to the next one */
  int32_t pixels;      /* 1 or more */
  int32_t input_gap;   /* bytes from behind the channels read of a pixel to those of the next one */
  int32_t output_gap; /* bytes from behind the last group of a pixel to the first of the next one */
  const int8_t **taps;
  const int8_t *const *last_tap; /* behind all pairs of taps */
  const int32_t *packed_end;
  uintptr_t entry;   /* number of pairs: 4 for 0, else 0 for 4, 8, ..., 1 for 3, 7, ..., 3 for 1 */
  uintptr_t is_odd;  /* 1: there is a tap behind the pairs */
  uintptr_t finish;  /* EK_DSP_... of ek_dsp_requantize.h */
  uintptr_t outputs; /* channels of a group that are stored, 1 to 4 */
  int32_t clamp[2];  /* CLAMPED: raise, lower */
  uintptr_t spill[2];
} ek_dsp_depthwise_taps;

/* Assembly has the names of C. */
#ifdef __cplusplus
extern "C" {
#endif

/* Channel i of the group reads byte i at tap + input_offset; the next group is 4 bytes further.
 * 4 channels are stored, without a gap. Needs unaligned words. */
void ek_dsp_depthwise_taps_of_4(ek_dsp_registers *saved, const int32_t *packed,
                                int32_t input_offset, int32_t nothing, ek_dsp_depthwise_taps taps);

/* All channels of the group read the byte at tap + input_offset; the next group is 1 byte further.
 */
void ek_dsp_depthwise_taps_of_1(ek_dsp_registers *saved, const int32_t *packed,
                                int32_t input_offset, int32_t nothing, ek_dsp_depthwise_taps taps);

#ifdef __cplusplus
}
#endif

#endif
