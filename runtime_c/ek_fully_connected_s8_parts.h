/* SPDX-License-Identifier: Apache-2.0 */
/* Fully connected layer on one int8 row that comes, or is computed, in equal parts. */
#ifndef EK_FULLY_CONNECTED_S8_PARTS_H
#define EK_FULLY_CONNECTED_S8_PARTS_H

#include "ek_dsp_windows.h"
#include "ek_kernel.h"

/* output = clamp(scale(bias + sum(x * w)) + output_zero_point), the input zero point in the bias.
 *
 * packed: [parts][pairs][2 + 2 * groups]: words of ek_dsp_pointwise_tile.h for EK_DSP_GENERAL, bias
 * 1 the last one; biases are 0 but in the first part. A pair has pair_channels output channels, 2
 * or 1, and then dummies of zeros. */
typedef struct {
  const int32_t *packed;
  const int32_t *scales; /* [output_channels][2]: multiplier in [0, 2^31), shift from -31 to 30 */
  ek_dsp_windows windows;
  int32_t part_bytes;
  int32_t parts;
  int32_t groups; /* of 4 inputs in a part */
  int32_t pair_channels;
  int32_t output_channels;
  int32_t output_zero_point;
  int32_t minimum;
  int32_t maximum;
} ek_fully_connected_s8_parts;

/* inputs: one pointer, to [parts * part_bytes]. output: [output_channels].
 * scratch: int32_t [output_channels], then 8 bytes per group of 4 inputs of a part.
 * Needs unaligned word loads (CCR.UNALIGN_TRP = 0, as after reset). */
void ek_fully_connected_s8_parts__dsp(const void *layer, const void *const *inputs, void *output,
                                      void *scratch);

/* Accumulates (ek_kernel.h): rows is one pointer, to the next part. Else as above. */
void ek_fully_connected_s8_parts__dsp_accumulating(const void *layer, const void *const *rows,
                                                   void *output, const ek_region *region,
                                                   void *scratch);

#endif
