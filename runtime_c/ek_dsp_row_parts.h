/* SPDX-License-Identifier: Apache-2.0 */
/* A fully connected layer, one part of its row after the other. */
#ifndef EK_DSP_ROW_PARTS_H
#define EK_DSP_ROW_PARTS_H

#include "ek_fully_connected_s8_parts.h"

/* Adds a part to the sums in scratch; the last one completes the output. */
void ek_dsp_row_part(const ek_fully_connected_s8_parts *layer, const int8_t *x, int32_t part,
                     void *output, void *scratch);

#endif
