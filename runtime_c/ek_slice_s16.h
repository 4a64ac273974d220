/* SPDX-License-Identifier: Apache-2.0 */
/* A regular part of an int16 tensor. */
#ifndef EK_SLICE_S16_H
#define EK_SLICE_S16_H

#include "ek_kernel.h"

/* output[i0][i1][i2][i3] = input[first + i0 * strides[0] + i1 * strides[1] + ...]; lower ranks have
 * sizes of 1 in front. */
typedef struct {
  int32_t first;
  const int32_t *sizes;   /* [4], of the output */
  const int32_t *strides; /* [4], elements of the input from one index of the output to the next */
} ek_slice_s16;

/* inputs: one tensor. output: the product of sizes. No scratch. */
void ek_slice_s16__ref(const void *layer, const void *const *inputs, void *output, void *scratch);

#endif
