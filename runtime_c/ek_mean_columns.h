/* SPDX-License-Identifier: Apache-2.0 */
/* Means of consecutive elements of an int8 map, for the tuned kernels of ek_mean_s8.h. */
#ifndef EK_MEAN_COLUMNS_H
#define EK_MEAN_COLUMNS_H

#include "ek_mean_s8.h"

/* output[i] = the mean of in[n * inner + i] over all n < count, i < inner. */
void ek_mean_columns(const ek_mean_s8 *layer, const int8_t *in, int8_t *output);

/* The mean that a sum of elements less their zero points gives. */
int8_t ek_mean_of_sum(const ek_mean_s8 *layer, int32_t sum);

#endif
