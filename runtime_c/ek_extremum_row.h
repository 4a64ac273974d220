/* SPDX-License-Identifier: Apache-2.0 */
/* The larger or the smaller ones of consecutive elements of two operands: __mve where there are
 * Helium instructions, __arm where there are DSP ones, __portable elsewhere; all compute the same.
 */
#ifndef EK_EXTREMUM_ROW_H
#define EK_EXTREMUM_ROW_H

#include <stdint.h>

/* output[0..count), which may be an operand; a step is 1, or 0 where an element is repeated. */
void ek_larger_elements(const int8_t *first, int32_t first_step, const int8_t *second,
                        int32_t second_step, int8_t *output, int32_t count);
void ek_smaller_elements(const int8_t *first, int32_t first_step, const int8_t *second,
                         int32_t second_step, int8_t *output, int32_t count);

#endif
