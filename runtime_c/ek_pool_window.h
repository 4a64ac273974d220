/* SPDX-License-Identifier: Apache-2.0 */
/* The taps of one output pixel of a pooling of int8 NHWC rows, and what is taken of them: __mve
 * where there are Helium instructions, __arm where there are DSP ones, __portable elsewhere; all
 * compute the same. */
#ifndef EK_POOL_WINDOW_H
#define EK_POOL_WINDOW_H

#include "ek_requantize.h"

#include <stddef.h>

/* Taps inside the map: of rows[0..row_count) the bytes first_byte + column * tap_bytes + channel.
 */
typedef struct {
  const void *const *rows;
  int32_t row_count;
  int32_t first_byte;
  int32_t columns;
  int32_t tap_bytes;
} ek_pool_window;

/* Along one row of a map; kernel is the number of taps. */
typedef struct {
  int32_t input_width;
  int32_t kernel;
  int32_t stride;
  int32_t dilation;
  int32_t pad;
} ek_pool_axis;

/* sum / count, halves away from zero, for -128 * count <= sum <= 127 * count: with a bias that
 * leaves nothing negative it is floor((sum + bias) / count) - 128, less one where a negative sum
 * ends in a half. The floor is a product with the reciprocal, exact for count <= 180
 * (tests/test_pool_division.py). */
typedef struct {
  int32_t bias;
  int32_t even; /* -1 where count is even, else 0 */
  uint32_t reciprocal;
} ek_pool_divisor;

enum { EK_POOL_MOST_TAPS = 180, EK_POOL_RECIPROCAL_BITS = 23 };

/* The taps of a column; rows: those of the window, NULL for padding; row_channels: theirs. */
static inline ek_pool_window ek_pool_window_at(const ek_pool_axis *axis, const void *const *rows,
                                               int32_t kernel_height, int32_t column,
                                               int32_t row_channels) {
  int32_t first = column * axis->stride - axis->pad, columns = axis->kernel;
  int32_t row_count = kernel_height;
  ek_pool_window window;
  for (; rows[0] == NULL; rows++) {
    row_count--;
  }
  for (; rows[row_count - 1] == NULL; row_count--) {
  }
  for (; first < 0; first += axis->dilation) {
    columns--;
  }
  for (; first + (columns - 1) * axis->dilation >= axis->input_width; columns--) {
  }
  window.rows = rows;
  window.row_count = row_count;
  window.first_byte = first * row_channels;
  window.columns = columns;
  window.tap_bytes = axis->dilation * row_channels;
  return window;
}

/* 1 <= count <= EK_POOL_MOST_TAPS */
static inline ek_pool_divisor ek_pool_divisor_of(int32_t count) {
  ek_pool_divisor divisor;
  divisor.bias = 128 * count + count / 2;
  divisor.even = (count & 1) - 1;
  divisor.reciprocal = (1u << EK_POOL_RECIPROCAL_BITS) / (uint32_t)count + 1;
  return divisor;
}

static inline int32_t ek_pool_mean(ek_pool_divisor divisor, int32_t sum) {
  const uint32_t dividend = (uint32_t)(sum + divisor.bias + ((sum >> 31) & divisor.even));
  return (int32_t)((dividend * divisor.reciprocal) >> EK_POOL_RECIPROCAL_BITS) - 128;
}

/* The largest tap of each channel and of initial, which may be NULL. */
void ek_pool_largest(const ek_pool_window *window, int32_t channels, const int8_t *initial,
                     int8_t *output);

/* Means of at most EK_POOL_MOST_TAPS taps; outside is the sum of those outside the map that count.
 */
void ek_pool_means(const ek_pool_window *window, int32_t channels, ek_pool_divisor divisor,
                   int32_t outside, int8_t *output);

static inline void ek_clamp_row(int8_t *row, int32_t count, int32_t minimum, int32_t maximum) {
  for (int32_t i = 0; i < count; i++) {
    row[i] = (int8_t)ek_clamp(row[i], minimum, maximum);
  }
}

/* Adds the taps of each channel to sums. */
void ek_pool_add(const ek_pool_window *window, int32_t channels, int32_t *sums);

#endif
