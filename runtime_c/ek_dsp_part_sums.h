/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of a fully connected layer, part after part of its input. */
#ifndef EK_DSP_PART_SUMS_H
#define EK_DSP_PART_SUMS_H

#include "ek_fully_connected_s8_parts.h"

/* Adds a part to the sums in scratch, which part 0 begins. x: [part_bytes]. */
void ek_dsp_add_part(const ek_fully_connected_s8_parts *layer, const int8_t *x, int32_t part,
                     void *scratch);

/* The outputs, when all parts are in. */
void ek_dsp_finish_parts(const ek_fully_connected_s8_parts *layer, const void *scratch,
                         int8_t *output);

#endif
