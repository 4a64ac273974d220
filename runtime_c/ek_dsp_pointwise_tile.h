/* SPDX-License-Identifier: Apache-2.0 */
/* The inner tile of ek_pointwise_s8__dsp_4x2: up to 4 pixels x 2 output channels.
 *
 * Two implementations of one contract, chosen by the compiler's core: __arm where there are DSP
 * instructions (assembly: with intrinsics GCC 12 spills at 14 live registers, 1.36 instead of 0.9
 * instructions per MAC), __portable elsewhere. Same input, same bytes.
 *
 * Lanes: the pixels of a tile as int16, for every group of 4 input channels k the pairs
 * (k, k + 2) of 4 pixels, then (k + 1, k + 3) of 4 pixels; the order in which SXTB16 expands bytes.
 *
 * Packed weights of a pair of output channels 0 and 1, in words:
 *   bias 0; per group the lanes (k, k + 2), then (k + 1, k + 3), a lane being 256 * w1 + w0;
 *   then what the finish of ek_dsp_requantize.h needs:
 *     AT_ZERO_POINT, LINEAR: multiplier, offset, exponent of 0; those of 1; twice the bias of 1
 *     CLAMPED: multiplier, offset, exponent of 0, raise, lower; those of 1, twice the bias of 1,
 *              raise, lower
 *     GENERAL: bias 1, then for the caller: multiplier and shift of 0, multiplier and shift of 1.
 * SMLAD of lanes and words sums 256 * S1 + S0, which a wrap does not hurt where -2^23 <= S1 < 2^23;
 * SXTB16 of a word is w0 and gives S0. */
#ifndef EK_DSP_POINTWISE_TILE_H
#define EK_DSP_POINTWISE_TILE_H

#include "ek_dsp_registers.h"

/* Passed by value: on Arm it then lies in the caller's frame, where the tile may write. */
typedef struct {
  void *output;             /* int8_t: pixel 0 of the first channel; int32_t for GENERAL */
  int32_t channel_step;     /* bytes from one output channel to the next */
  int32_t pixel_offsets[3]; /* bytes from pixel 0 to pixels 1, 2, 3 */
  const int16_t *lanes;     /* 4-byte aligned */
  const int16_t *lanes_end; /* lanes + 16 * groups */
  const int32_t *packed_end;
  uintptr_t spill[3]; /* working space */
} ek_dsp_pointwise_tile;

/* Assembly has the names of C. */
#ifdef __cplusplus
extern "C" {
#endif

/* Expands pixels 0 to count - 1 (1 to 4), channel_groups * 4 of their channels. */
void ek_dsp_expand(const int8_t *pixels, int32_t pixel_bytes, int32_t channel_groups, int32_t count,
                   int16_t *lanes);

/* All pairs of [packed, tile.packed_end) for a tile of 1, 2, 3 or 4 pixels; groups >= 1.
 * GENERAL stores sums with their biases, channels 0 and 1 of every pixel, pair after pair. */
void ek_dsp_pointwise_tile_1(ek_dsp_registers *saved, const int32_t *packed, int32_t groups,
                             int32_t finish, ek_dsp_pointwise_tile tile);
void ek_dsp_pointwise_tile_2(ek_dsp_registers *saved, const int32_t *packed, int32_t groups,
                             int32_t finish, ek_dsp_pointwise_tile tile);
void ek_dsp_pointwise_tile_3(ek_dsp_registers *saved, const int32_t *packed, int32_t groups,
                             int32_t finish, ek_dsp_pointwise_tile tile);
void ek_dsp_pointwise_tile_4(ek_dsp_registers *saved, const int32_t *packed, int32_t groups,
                             int32_t finish, ek_dsp_pointwise_tile tile);

#ifdef __cplusplus
}
#endif

#endif
