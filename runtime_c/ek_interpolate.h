/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of 513 entries over all int16 values, read with linear interpolation. */
#ifndef EK_INTERPOLATE_H
#define EK_INTERPOLATE_H

#include <stdint.h>

/* table: every 128th value from -32768 to 32768. Between them, the slope rounds ties up. */
static inline int32_t ek_interpolate(const int16_t *table, int32_t x) {
  const int32_t index = (x + 32768) >> 7;
  const int32_t slope = table[index + 1] - table[index];
  return table[index] + ((slope * (x & 0x7f) + 64) >> 7);
}

#endif
