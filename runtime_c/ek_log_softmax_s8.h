/* SPDX-License-Identifier: Apache-2.0 */
/* Logarithm of the softmax of every row of an int8 tensor. */
#ifndef EK_LOG_SOFTMAX_S8_H
#define EK_LOG_SOFTMAX_S8_H

#include "ek_kernel.h"

/* With d = scale(x - the largest x of the row) in Q5.26:
 * output = clamp(16 * (d - log(sum of exp(d))) + 127), clamped to int8; elements that are further
 * than diff_min below the largest are not in the sum, and give -128. */
typedef struct {
  int32_t rows;
  int32_t depth;              /* 1 to 4095 */
  int32_t multiplier;         /* [2^30, 2^31) */
  int32_t shift;              /* 1 to 31, to the left */
  int32_t diff_min;           /* <= 0 */
  int32_t reverse_multiplier; /* from Q5.26 to steps of the input, [0, 2^31) */
  int32_t reverse_shift;      /* -31 to 0 */
} ek_log_softmax_s8;

/* inputs: one pointer, to [rows][depth]. output: [rows][depth]. No scratch. */
void ek_log_softmax_s8__ref(const void *layer, const void *const *inputs, void *output,
                            void *scratch);

#endif
