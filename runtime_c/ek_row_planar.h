/* SPDX-License-Identifier: Apache-2.0 */
/* The order of columns in row-planar rows (WORD_ORDER of edgekit/layout.py). */
#ifndef EK_ROW_PLANAR_H
#define EK_ROW_PLANAR_H

#include <stdint.h>

/* Byte of a column, padding counted, in a row-planar channel. */
static inline int32_t ek_planar_byte(int32_t column) {
  const int32_t within = column & 3;
  return (column & ~3) + ((within & 1) << 1) + (within >> 1);
}

#endif
