/* SPDX-License-Identifier: Apache-2.0 */
/* The inner loop of ek_linear_sum_s8__c: __mve where there are Helium instructions, __arm where
 * there are DSP ones, __portable elsewhere; all compute the same. */
#ifndef EK_LINEAR_ROW_H
#define EK_LINEAR_ROW_H

#include "ek_linear_sum_s8.h"

/* How a sum becomes an output. */
enum {
  EK_LINEAR_PLAIN = 0,  /* saturate(sum >> 20) */
  EK_LINEAR_NUDGED = 1, /* saturate((sum + (sum < 0 ? -1 : 0) + output_offset) >> 20): exact ties go
                           away from zero */
  EK_LINEAR_CLAMPED = 2 /* saturate(NUDGED + raise) - lower: output_offset puts a narrower clamp's
                           minimum at -128, raise (up to 127) its maximum at 127 */
};

/* Those of ek_linear_sum_s8, a repeated operand folded into offset. */
typedef struct {
  int32_t first;
  int32_t second;
  int32_t offset;
} ek_linear_weights;

/* output[0..count); it may be an operand. Of layer only the finish counts. */
void ek_linear_row(const ek_linear_sum_s8 *layer, ek_linear_weights weights, const int8_t *first,
                   const int8_t *second, int8_t *output, int32_t count);

#endif
