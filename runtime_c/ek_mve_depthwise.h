/* SPDX-License-Identifier: Apache-2.0 */
/* The inner loops of the Helium depthwise convolution: pixels of one row, 16 channels at a time.
 *
 * Two implementations of one contract, chosen by the compiler's core: __arm where there is MVE,
 * __portable elsewhere. Same input, same bytes. The first is assembly: 8 vector registers hold 4
 * sums, 2 products, inputs and weights, and 9 taps, weights, parameters and output take 12 core
 * registers; GCC 12 spills both.
 *
 * VMULLB and VMULLT give the 16 products of a tap as int16; those of two taps are added before they
 * are widened to the sums. That is exact where no pair of taps reaches 2^15, which the weights of
 * each channel prove at conversion: only two weights of -128 side by side can.
 *
 * Weights, for every 16 channels: [taps][16], the first tap by itself, then pairs.
 * Parameters, for every 16 channels, in words: for the channels 0, 4, 8, 12, then 2, 6, 10, 14,
 * then 1, 5, 9, 13, then 3, 7, 11, 15: 4 biases, 4 multipliers, 4 shifts, < 0 (to the right).
 * output = clamp(scale(bias + sum(x * w)) + zero_point) with both roundings of ek_requantize.h, as
 * ek_mve_dot.h explains. */
#ifndef EK_MVE_DEPTHWISE_H
#define EK_MVE_DEPTHWISE_H

#include <stdint.h>

typedef struct {
  int32_t channels; /* >= 1 */
  int32_t zero_point;
  int32_t minimum;
  int32_t maximum;
  int32_t is_linear;   /* 0: zero point and minimum are -128, maximum is 127: ties do not count */
  int8_t *output;      /* of the first pixel */
  int32_t output_step; /* bytes from the outputs of a pixel to those of the next one */
  /* bytes from the inputs of a pixel to those of the next one, by row of a 3x3 kernel; the first
   * one is that of all taps of any other */
  int32_t tap_steps[3];
  const int8_t *padding; /* taps that point here stay here, or NULL; not read for 3x3 kernels */
  int32_t pixels;        /* >= 1; for 3x3 kernels the number of segments, >= 1 */
  int32_t quads;         /* >= 1; not read for 3x3 kernels */
} ek_mve_depthwise_row;

/* Pixels whose taps are tap_steps apart, from those of the first one on. */
typedef struct {
  const int8_t *taps[9];
  int32_t pixels; /* >= 1 */
} ek_mve_segment;

/* Assembly has the names of C. */
#ifdef __cplusplus
extern "C" {
#endif

/* taps: the inputs of every tap of the first pixel; nothing behind its channels is read. The table
 * is working space. There are 1 + 4 * row->quads taps. */
void ek_mve_depthwise(const int8_t **taps, const int8_t *weights, const int32_t *parameters,
                      const ek_mve_depthwise_row *row);

/* The same for 3x3 kernels, because registers can point at 9 taps; the pixels of the segments are
 * side by side. */
void ek_mve_depthwise_3x3(const ek_mve_segment *segments, const int8_t *weights,
                          const int32_t *parameters, const ek_mve_depthwise_row *row);

#ifdef __cplusplus
}
#endif

#endif
