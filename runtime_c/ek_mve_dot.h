/* SPDX-License-Identifier: Apache-2.0 */
/* The inner tile of the Helium convolutions and dense layers: 1 to 3 pixels x all output channels.
 *
 * Two implementations of one contract, chosen by the compiler's core: __arm where there is MVE,
 * __portable elsewhere. Same input, same bytes. The first is assembly: GCC 12 forms no tail-
 * predicated loop, and with intrinsics it spills the even registers that VMLADAVA needs (12 of the
 * 13 core registers are live in the loop of 3 pixels x 2 channels, 96 MACs in 12 instructions).
 *
 * Weights, for every 4 output channels: for every 16 inputs [4 channels][16], zero behind the last
 * input and behind the last channel.
 * Parameters, for every 4 output channels 0 to 3, in words: the biases of 0, 2, 1 and 3; 4
 * multipliers; 4 shifts, <= 0 (to the right); and where is_general 4 shifts, >= 0 (to the left).
 *
 * output = clamp(scale(bias + sum(x * w))) + zero_point with both roundings of ek_requantize.h.
 * VQRDMULH is the first one. VRSHL rounds ties up: they go away from zero where 1 is subtracted
 * from negative values first, which is exact for every sum of 32 bits and every shift to the right;
 * a shift of 0 must not subtract, so layers that have one are general. */
#ifndef EK_MVE_DOT_H
#define EK_MVE_DOT_H

#include <stdint.h>

/* Passed by value: on Arm it then lies in the caller's frame, where the tile may write. */
typedef struct {
  const int8_t *pixels[3];
  int8_t *outputs[3];
  int32_t zero_point;
  int32_t channels; /* >= 1 */
  int32_t minimum;  /* less zero_point */
  int32_t maximum;  /* less zero_point */
  int32_t is_general;
} ek_mve_dot_tile;

/* Assembly has the names of C. */
#ifdef __cplusplus
extern "C" {
#endif

/* depth: inputs of every pixel, >= 1; nothing behind them is read.
 * weight_step: 64 * ceil(depth / 16) - 16. */
void ek_mve_dot_1(const int8_t *weights, const int32_t *parameters, int32_t depth,
                  int32_t weight_step, ek_mve_dot_tile tile);
void ek_mve_dot_2(const int8_t *weights, const int32_t *parameters, int32_t depth,
                  int32_t weight_step, ek_mve_dot_tile tile);
void ek_mve_dot_3(const int8_t *weights, const int32_t *parameters, int32_t depth,
                  int32_t weight_step, ek_mve_dot_tile tile);

#ifdef __cplusplus
}
#endif

#endif
