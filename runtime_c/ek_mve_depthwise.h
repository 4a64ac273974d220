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

/* Passed by value: on Arm it then lies in the caller's frame, where the loops may write. */
typedef struct {
  int8_t *output;      /* of the first pixel */
  int32_t channels;    /* >= 1 */
  int32_t pixels;      /* >= 1 */
  int32_t tap_step;    /* bytes from the inputs of a pixel to those of the next one */
  int32_t output_step; /* bytes from the outputs of a pixel to those of the next one */
  int32_t minimum;
  int32_t maximum;
  int32_t zero_point;
} ek_mve_depthwise_row;

/* Assembly has the names of C. */
#ifdef __cplusplus
extern "C" {
#endif

/* taps: the inputs of every tap of the first pixel; nothing behind its channels is read. The table
 * is working space. quads: there are 1 + 4 * quads taps, quads >= 1. */
void ek_mve_depthwise(const int8_t **taps, const int8_t *weights, const int32_t *parameters,
                      int32_t quads, ek_mve_depthwise_row row);

/* The same for quads = 2, because registers can point at 9 taps. */
void ek_mve_depthwise_9(const int8_t **taps, const int8_t *weights, const int32_t *parameters,
                        int32_t quads, ek_mve_depthwise_row row);

#ifdef __cplusplus
}
#endif

#endif
