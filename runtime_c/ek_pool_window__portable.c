/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_pool_window.h"

#if !defined(__ARM_FEATURE_DSP)

/* Of 4 channels, so that one walk over the taps serves all of them. */
typedef struct {
  int32_t a, b, c, d;
} four;

static const int8_t *row_of(const ek_pool_window *window, int32_t row, int32_t channel) {
  return (const int8_t *)window->rows[row] + window->first_byte + channel;
}

static four add_taps(const int8_t *in, int32_t taps, int32_t step, four sums) {
  for (const int8_t *end = in + taps * step; in != end; in += step) {
    sums.a += in[0];
    sums.b += in[1];
    sums.c += in[2];
    sums.d += in[3];
  }
  return sums;
}

static int32_t add_taps_of_one(const int8_t *in, int32_t taps, int32_t step, int32_t sum) {
  for (const int8_t *end = in + taps * step; in != end; in += step) {
    sum += *in;
  }
  return sum;
}

void ek_pool_means(const ek_pool_window *window, int32_t channels, ek_pool_divisor divisor,
                   int32_t outside, int8_t *output) {
  const int32_t taps = window->columns, step = window->tap_bytes;
  int32_t c = 0;
  for (; c + 4 <= channels; c += 4) {
    four sums = {outside, outside, outside, outside};
    for (int32_t row = 0; row < window->row_count; row++) {
      sums = add_taps(row_of(window, row, c), taps, step, sums);
    }
    output[c] = (int8_t)ek_pool_mean(divisor, sums.a);
    output[c + 1] = (int8_t)ek_pool_mean(divisor, sums.b);
    output[c + 2] = (int8_t)ek_pool_mean(divisor, sums.c);
    output[c + 3] = (int8_t)ek_pool_mean(divisor, sums.d);
  }
  for (; c < channels; c++) {
    int32_t sum = outside;
    for (int32_t row = 0; row < window->row_count; row++) {
      sum = add_taps_of_one(row_of(window, row, c), taps, step, sum);
    }
    output[c] = (int8_t)ek_pool_mean(divisor, sum);
  }
}

void ek_pool_add(const ek_pool_window *window, int32_t channels, int32_t *sums) {
  const int32_t taps = window->columns, step = window->tap_bytes;
  for (int32_t row = 0; row < window->row_count; row++) {
    const int8_t *in = row_of(window, row, 0);
    int32_t c = 0;
    for (; c + 4 <= channels; c += 4) {
      const four before = {sums[c], sums[c + 1], sums[c + 2], sums[c + 3]};
      const four after = add_taps(in + c, taps, step, before);
      sums[c] = after.a;
      sums[c + 1] = after.b;
      sums[c + 2] = after.c;
      sums[c + 3] = after.d;
    }
    for (; c < channels; c++) {
      sums[c] = add_taps_of_one(in + c, taps, step, sums[c]);
    }
  }
}

static int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }

void ek_pool_largest(const ek_pool_window *window, int32_t channels, const int8_t *initial,
                     int8_t *output) {
  const int32_t bytes = window->columns * window->tap_bytes, step = window->tap_bytes;
  int32_t c = 0;
  for (; c + 2 <= channels; c += 2) {
    int32_t a = initial != NULL ? initial[c] : -128, b = initial != NULL ? initial[c + 1] : -128;
    for (int32_t row = 0; row < window->row_count; row++) {
      const int8_t *in = row_of(window, row, c);
      for (const int8_t *end = in + bytes; in != end; in += step) {
        a = larger(a, in[0]);
        b = larger(b, in[1]);
      }
    }
    output[c] = (int8_t)a;
    output[c + 1] = (int8_t)b;
  }
  for (; c < channels; c++) {
    int32_t best = initial != NULL ? initial[c] : -128;
    for (int32_t row = 0; row < window->row_count; row++) {
      const int8_t *in = row_of(window, row, c);
      for (const int8_t *end = in + bytes; in != end; in += step) {
        best = larger(best, *in);
      }
    }
    output[c] = (int8_t)best;
  }
}

#endif
