/* SPDX-License-Identifier: Apache-2.0 */
/* Pixels times a matrix of weights: the convolutions and dense layers of the Helium kernels. */
#ifndef EK_MVE_MATRIX_H
#define EK_MVE_MATRIX_H

#include "ek_mve_dot.h"

/* weights, parameters: as ek_mve_dot.h has them. depth: inputs of a pixel, >= 1.
 * minimum, maximum: the clamp, less output_zero_point. */
typedef struct {
  const int8_t *weights;
  const int32_t *parameters;
  int32_t depth;
  int32_t minimum;
  int32_t maximum;
  int32_t output_zero_point;
  int32_t is_general;
} ek_mve_matrix;

/* input: the first of count pixels, input_bytes apart; output likewise. */
typedef struct {
  const int8_t *input;
  int8_t *output;
  int32_t input_bytes;
  int32_t output_bytes;
  int32_t count;
} ek_mve_pixels;

/* Bytes of the weights of one output channel; int32_t words of the parameters of 4. */
static inline int32_t ek_mve_channel_bytes(int32_t depth) { return (depth + 15) & ~15; }
static inline int32_t ek_mve_parameter_words(int32_t is_general) {
  return is_general != 0 ? 16 : 12;
}

/* Channels [channel_begin, channel_end) of all pixels, channel_begin a multiple of 4 and < the
 * end. Writes pixels in groups of 3, and each group when it is read. */
void ek_mve_matrix_run(const ek_mve_matrix *matrix, const ek_mve_pixels *pixels,
                       int32_t channel_begin, int32_t channel_end);

#endif
