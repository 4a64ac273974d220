/* SPDX-License-Identifier: Apache-2.0 */
/* Fully connected layer on int16 rows, per-channel int8 weights. */
#ifndef EK_FULLY_CONNECTED_S16_H
#define EK_FULLY_CONNECTED_S16_H

#include "ek_kernel.h"

/* output = clamp(scale(bias + sum(x * w))) */
typedef struct {
  const int8_t *weights;      /* [output_channels][input_channels] */
  const int64_t *bias;        /* [output_channels] */
  const int32_t *multipliers; /* [output_channels], in [0, 2^31) */
  const int8_t *shifts;       /* [output_channels], -31 to 7, > 0 is to the left */
  int32_t minimum;
  int32_t maximum;
  int32_t rows;
  int32_t input_channels;
  int32_t output_channels;
} ek_fully_connected_s16;

/* inputs: one pointer, to [rows][input_channels]. output: [rows][output_channels]. No scratch. */
void ek_fully_connected_s16__ref(const void *layer, const void *const *inputs, void *output,
                                 void *scratch);

/* The same with sums that wrap to 32 bits and are scaled as those of int8 layers; the bias fits 32
 * bits, shifts are -31 to 30. */
void ek_fully_connected_s16__ref_narrow(const void *layer, const void *const *inputs, void *output,
                                        void *scratch);

/* Accumulates (ek_kernel.h) over the parts of one row of inputs, as many as the layer has rows;
 * they divide input_channels. rows: one pointer, to [input_channels / rows]. output:
 * [output_channels]. scratch: uint32_t [output_channels][2]. */
void ek_fully_connected_s16__ref_accumulating(const void *layer, const void *const *rows,
                                              void *output, const ek_region *region, void *scratch);

/* The same with sums of 32 bits, as above. scratch: uint32_t [output_channels]. */
void ek_fully_connected_s16__ref_narrow_accumulating(const void *layer, const void *const *rows,
                                                     void *output, const ek_region *region,
                                                     void *scratch);

#endif
