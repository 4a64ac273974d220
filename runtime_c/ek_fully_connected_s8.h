/* SPDX-License-Identifier: Apache-2.0 */
/* Fully connected layer on int8 rows, per-channel weights. */
#ifndef EK_FULLY_CONNECTED_S8_H
#define EK_FULLY_CONNECTED_S8_H

#include "ek_kernel.h"

/* output = clamp(scale(bias + sum((x - input_zero_point) * w)) + output_zero_point) */
typedef struct {
  const int8_t *weights;      /* [output_channels][input_channels] */
  const int32_t *bias;        /* [output_channels] */
  const int32_t *multipliers; /* [output_channels], in [0, 2^31) */
  const int8_t *shifts;       /* [output_channels], -31 to 30, > 0 is to the left */
  int32_t input_zero_point;
  int32_t output_zero_point;
  int32_t minimum;
  int32_t maximum;
  int32_t rows;
  int32_t input_channels;
  int32_t output_channels;
} ek_fully_connected_s8;

/* inputs: one pointer, to [rows][input_channels]. output: [rows][output_channels]. No scratch. */
void ek_fully_connected_s8__ref(const void *layer, const void *const *inputs, void *output,
                                void *scratch);

/* Accumulates (ek_kernel.h) over the parts of one row of inputs, as many as the layer has rows;
 * they divide input_channels. rows: one pointer, to [input_channels / rows]. output:
 * [output_channels]. scratch: int32_t [output_channels]. */
void ek_fully_connected_s8__ref_accumulating(const void *layer, const void *const *rows,
                                             void *output, const ek_region *region, void *scratch);

#endif
