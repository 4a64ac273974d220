/* SPDX-License-Identifier: Apache-2.0 */
/* The inner tile of the convolutions on packed pairs: up to 4 pixels x 2 output channels.
 *
 * Two implementations of one contract, chosen by the compiler's core: __arm where there are DSP
 * instructions (assembly: with intrinsics GCC 12 spills at 14 live registers, 1.36 instead of 0.9
 * instructions per MAC), __portable elsewhere. Same input, same bytes.
 *
 * Lanes: the pixels of a tile as int16, for every group of 4 taps k the pairs (k, k + 2) of 4
 * pixels, then (k + 1, k + 3) of 4 pixels; the order in which SXTB16 expands bytes. A tile of one
 * pixel has no room for others.
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
#include "ek_dsp_windows.h"

/* Passed by value: on Arm it then lies in the caller's frame, where the tile may write. */
typedef struct {
  void *output;             /* int8_t: pixel 0 of the first channel; int32_t for GENERAL */
  int32_t channel_step;     /* bytes from one output channel to the next */
  int32_t pixel_offsets[3]; /* bytes from pixel 0 to pixels 1, 2, 3 */
  const int16_t *lanes;     /* 4-byte aligned */
  const int16_t *lanes_end; /* lanes + groups * ek_dsp_lanes_per_group(pixels) */
  const int32_t *packed_end;
  uintptr_t spill[3]; /* working space */
} ek_dsp_pointwise_tile;

static inline int32_t ek_dsp_lanes_per_group(int32_t pixels) { return pixels == 1 ? 4 : 16; }

/* Passed by value for the same reason. */
typedef struct {
  ek_dsp_windows windows;
  uintptr_t spill[2]; /* working space */
} ek_dsp_expansion;

/* Assembly has the names of C. */
#ifdef __cplusplus
extern "C" {
#endif

/* Expands the segments of the windows of 4 pixels; segments point at the first pixel's. Returns the
 * place behind the lanes. */
int16_t *ek_dsp_expand_4(ek_dsp_registers *saved, const int8_t *const *segments,
                         const int8_t *const *segments_end, int16_t *lanes,
                         ek_dsp_expansion expansion);

/* The same for 1, 2 or 3 pixels. */
int16_t *ek_dsp_expand_few(const int8_t *const *segments, const int8_t *const *segments_end,
                           int16_t *lanes, const ek_dsp_windows *windows, int32_t pixels);

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
