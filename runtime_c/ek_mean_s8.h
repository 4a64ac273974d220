/* SPDX-License-Identifier: Apache-2.0 */
/* Mean over adjacent axes of an int8 map. */
#ifndef EK_MEAN_S8_H
#define EK_MEAN_S8_H

#include "ek_kernel.h"

/* output[o][i] = clamp(scale(sum over n of (x[o][n][i] - input_zero_point)) + output_zero_point),
 * clamped to int8; the scale contains 1 / count. */
typedef struct {
  int32_t outer;
  int32_t count; /* elements per mean, below 2^23 */
  int32_t inner;
  int32_t multiplier; /* [0, 2^31) */
  int32_t shift;      /* -31 to 30, > 0 is to the left */
  int32_t input_zero_point;
  int32_t output_zero_point;
} ek_mean_s8;

/* inputs: one pointer, to [outer][count][inner]. output: [outer][inner]. No scratch. */
void ek_mean_s8__ref(const void *layer, const void *const *inputs, void *output, void *scratch);
void ek_mean_s8__c(const void *layer, const void *const *inputs, void *output, void *scratch);

/* rows: one pointer, to [output width][count][inner]. output: [output width][inner]; outer counts
 * for nothing. No scratch. */
void ek_mean_s8__ref_rows(const void *layer, const void *const *rows, void *output,
                          const ek_region *region, void *scratch);
void ek_mean_s8__c_rows(const void *layer, const void *const *rows, void *output,
                        const ek_region *region, void *scratch);

/* Accumulates (ek_kernel.h) over outer input rows. rows: one pointer, to [count][inner], the
 * elements that the row adds to each mean; the scale contains 1 / (outer * count), which obeys the
 * bound of count. output: [inner]. scratch: int32_t [inner]. */
void ek_mean_s8__ref_accumulating(const void *layer, const void *const *rows, void *output,
                                  const ek_region *region, void *scratch);
void ek_mean_s8__c_accumulating(const void *layer, const void *const *rows, void *output,
                                const ek_region *region, void *scratch);

#endif
