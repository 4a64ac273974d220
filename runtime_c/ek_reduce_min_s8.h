/* SPDX-License-Identifier: Apache-2.0 */
/* Least int8 element over adjacent axes. */
#ifndef EK_REDUCE_MIN_S8_H
#define EK_REDUCE_MIN_S8_H

#include "ek_kernel.h"

/* output[o][i] = least over n of x[o][n][i] */
typedef struct {
  int32_t outer;
  int32_t count; /* elements that become one, at least 1 */
  int32_t inner;
} ek_reduce_min_s8;

/* inputs: one pointer, to [outer][count][inner]. output: [outer][inner]. No scratch. */
void ek_reduce_min_s8__ref(const void *layer, const void *const *inputs, void *output,
                           void *scratch);

#endif
