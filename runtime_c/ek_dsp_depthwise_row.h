/* SPDX-License-Identifier: Apache-2.0 */
/* The inner loops of the depthwise 3x3 kernels on row-planar rows: all channels of a row.
 *
 * Two implementations of one contract, chosen by the compiler's core: __arm where there are DSP
 * instructions (assembly, for the same reason as ek_dsp_pointwise_tile.h), __portable elsewhere.
 *
 * Packed parameters of a channel of k x k taps, in words:
 *   multiplier, offset, exponent of ek_dsp_requantize.h (GENERAL: multiplier, shift, 0);
 *   per kernel row words of two int16: (w0, w1), (w2, w3), ... and then, for stride 1,
 *   (w1, w2), (w3, w4), ...; for stride 2 the last one alone, (w[k - 1], 0);
 *   w being twice the weight (GENERAL: the weight);
 *   twice the bias (GENERAL: the bias);
 *   CLAMPED: raise, lower. */
#ifndef EK_DSP_DEPTHWISE_ROW_H
#define EK_DSP_DEPTHWISE_ROW_H

#include "ek_depthwise_conv2d_s8_row_planar.h"
#include "ek_dsp_registers.h"
#include "ek_dsp_requantize.h"

enum { EK_DSP_DEPTHWISE_WEIGHTS = 3 }; /* the first word of weights */

static inline int32_t ek_dsp_depthwise_row_words(int32_t kernel, int32_t stride) {
  return stride == 1 ? kernel - 1 : (kernel + 1) / 2;
}

/* Words of a channel. */
static inline int32_t ek_dsp_depthwise_words(int32_t finish, int32_t kernel, int32_t stride) {
  return EK_DSP_DEPTHWISE_WEIGHTS + kernel * ek_dsp_depthwise_row_words(kernel, stride) + 1 +
         (finish == EK_DSP_CLAMPED ? 2 : 0);
}

/* Passed by value: on Arm it then lies in the caller's frame, where the row may write. */
typedef struct {
  uintptr_t spill[2];        /* working space */
  int32_t pixel_stride;      /* bytes from one output pixel to the next */
  int8_t *output;            /* first pixel, first channel */
  int32_t group_bytes;       /* output bytes from the first pixel to behind the last group of 4 */
  uintptr_t tail;            /* 0 to 3 pixels behind the groups; 4 instead of 0 for CLAMPED */
  uintptr_t finish;          /* AT_ZERO_POINT, LINEAR or CLAMPED */
  uintptr_t jump;            /* working space */
  const int32_t *packed_end; /* behind the last channel */
  int32_t input_gap;         /* bytes from behind the words read of a channel to the next one */
  ek_dsp_registers *saved;
} ek_dsp_depthwise_row;

/* Assembly has the names of C. */
#ifdef __cplusplus
extern "C" {
#endif

/* top, middle, bottom: the word with the first input column of the first pixel. Nothing behind the
 * last column that a pixel needs, rounded up to a word, is read. packed: the first channel. */
void ek_dsp_depthwise_3x3s1(const int8_t *top, const int8_t *middle, const int8_t *bottom,
                            const int32_t *packed, ek_dsp_depthwise_row row);
void ek_dsp_depthwise_3x3s2(const int8_t *top, const int8_t *middle, const int8_t *bottom,
                            const int32_t *packed, ek_dsp_depthwise_row row);

#ifdef __cplusplus
}
#endif

#endif
