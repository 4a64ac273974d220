/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of 4 channels over the taps of a depthwise window. Functions by themselves, since a caller
 * has no registers left for them. */
#ifndef EK_TAP_SUMS_H
#define EK_TAP_SUMS_H

#include <stdint.h>

/* A tap: which of the rows it is in, where in it, and where its weights are. */
typedef struct {
  int32_t row;
  int32_t byte;
  int32_t weight;
} ek_tap;

/* Adds products of taps [tap, end): channels channel to channel + 3 of rows, whose weights begin at
 * weights. */
void ek_tap_add(const ek_tap *tap, const ek_tap *end, const void *const *rows, int32_t channel,
                const int8_t *weights, int32_t *sums);

/* The same for taps in the padding, which all have the value zero_point. */
void ek_tap_add_padding(const ek_tap *tap, const ek_tap *end, int32_t zero_point,
                        const int8_t *weights, int32_t *sums);

#endif
