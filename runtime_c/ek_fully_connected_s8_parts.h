/* SPDX-License-Identifier: Apache-2.0 */
/* Fully connected layer on one int8 row that comes, or is computed, in equal parts. */
#ifndef EK_FULLY_CONNECTED_S8_PARTS_H
#define EK_FULLY_CONNECTED_S8_PARTS_H

#include "ek_dsp_parts.h"
#include "ek_dsp_windows.h"
#include "ek_kernel.h"

typedef struct {
  ek_dsp_parts sums;
  ek_dsp_windows windows;
  int32_t part_bytes;
  int32_t parts;
  int32_t output_channels;
} ek_fully_connected_s8_parts;

/* inputs: one pointer, to [parts * part_bytes]. output: [output_channels].
 * scratch: int32_t [pairs][2], then 8 bytes per group of 4 inputs of a part.
 * Needs unaligned word loads (CCR.UNALIGN_TRP = 0, as after reset). */
void ek_fully_connected_s8_parts__dsp(const void *layer, const void *const *inputs, void *output,
                                      void *scratch);

/* Accumulates (ek_kernel.h): rows is one pointer, to the next part. Else as above. */
void ek_fully_connected_s8_parts__dsp_accumulating(const void *layer, const void *const *rows,
                                                   void *output, const ek_region *region,
                                                   void *scratch);

#endif
