/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of up to 4 pixels, part after part of their taps. */
#ifndef EK_DSP_PART_SUMS_H
#define EK_DSP_PART_SUMS_H

#include "ek_dsp_parts.h"
#include "ek_dsp_tiles.h"

/* Which pairs of channels, of how many pixels; sums are int32_t [pairs][pixels][2]. */
typedef struct {
  int32_t first_pair;
  int32_t pairs;
  int32_t pixels;
} ek_dsp_part_block;

/* Adds part number part, whose lanes are there, to the sums, which part 0 begins. */
void ek_dsp_add_part(const ek_dsp_parts *parts, int32_t part, ek_dsp_part_block block,
                     const int16_t *lanes, int32_t *sums);

/* The outputs of channels of the block, when all parts are in: NHWC pixels of pixel_bytes. */
void ek_dsp_finish_parts(const ek_dsp_parts *parts, ek_dsp_part_block block, const int32_t *sums,
                         int32_t channels, int8_t *output, int32_t pixel_bytes);

#endif
