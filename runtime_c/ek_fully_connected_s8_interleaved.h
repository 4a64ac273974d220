/* SPDX-License-Identifier: Apache-2.0 */
/* Fully connected layer on int8 rows with weights interleaved for the Helium instructions. */
#ifndef EK_FULLY_CONNECTED_S8_INTERLEAVED_H
#define EK_FULLY_CONNECTED_S8_INTERLEAVED_H

#include "ek_kernel.h"

/* output = clamp(scale(bias + sum(x * w)) + output_zero_point), the input zero point in the bias.
 * weights, parameters: as ek_mve_dot.h has them. minimum, maximum: less output_zero_point. */
typedef struct {
  const int8_t *weights;
  const int32_t *parameters;
  int32_t minimum;
  int32_t maximum;
  int32_t output_zero_point;
  int32_t is_general; /* 1: some shift is >= 0 */
  int32_t rows;
  int32_t input_channels;
  int32_t output_channels;
} ek_fully_connected_s8_interleaved;

/* inputs: one pointer, to [rows][input_channels]; nothing behind that is read.
 * output: [rows][output_channels]. No scratch. */
void ek_fully_connected_s8_interleaved__mve_3x2(const void *layer, const void *const *inputs,
                                                void *output, void *scratch);

#endif
