/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_pool_window.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

#include "ek_dsp_words.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum { MOST_TAPS_OF_A_HALF = 255 };

/* Sums of 4 channels as halves: 0 and 2, 1 and 3. */
typedef struct {
  uint32_t even, odd;
} halves;

ALWAYS_INLINE const int8_t *row_of(const ek_pool_window *window, int32_t row, int32_t channel) {
  return (const int8_t *)window->rows[row] + window->first_byte + channel;
}

ALWAYS_INLINE halves add_word(halves sums, const int8_t *in) {
  const uint32_t word = ek_load_word(in);
  sums.even = ek_add_even_bytes(sums.even, word);
  sums.odd = ek_add_odd_bytes(sums.odd, word);
  return sums;
}

/* second: of the 4 channels behind, where has_second. */
ALWAYS_INLINE void add_taps(const int8_t *in, int32_t taps, int32_t step, int32_t has_second,
                            halves *first, halves *second) {
  halves a = *first, b = *second;
  for (const int8_t *end = in + taps * step; in != end; in += step) {
    a = add_word(a, in);
    b = has_second ? add_word(b, in + 4) : b;
  }
  *first = a;
  *second = b;
}

static int32_t add_taps_of_one(const int8_t *in, int32_t taps, int32_t step, int32_t sum) {
  for (const int8_t *end = in + taps * step; in != end; in += step) {
    sum += *in;
  }
  return sum;
}

static inline int32_t low_half(uint32_t word) { return (int16_t)(uint16_t)(word & 0xffffu); }
static inline int32_t high_half(uint32_t word) { return (int32_t)word >> 16; }

ALWAYS_INLINE void store_means(halves sums, ek_pool_divisor divisor, int8_t *output) {
  output[0] = (int8_t)ek_pool_mean(divisor, low_half(sums.even));
  output[1] = (int8_t)ek_pool_mean(divisor, low_half(sums.odd));
  output[2] = (int8_t)ek_pool_mean(divisor, high_half(sums.even));
  output[3] = (int8_t)ek_pool_mean(divisor, high_half(sums.odd));
}

ALWAYS_INLINE void means_of(const ek_pool_window *window, int32_t channel, int32_t has_second,
                            ek_pool_divisor divisor, int32_t outside, int8_t *output) {
  const uint32_t both = ((uint32_t)outside & 0xffffu) | (uint32_t)outside << 16;
  halves first = {both, both}, second = {both, both};
  for (int32_t row = 0; row < window->row_count; row++) {
    add_taps(row_of(window, row, channel), window->columns, window->tap_bytes, has_second, &first,
             &second);
  }
  store_means(first, divisor, output + channel);
  if (has_second) {
    store_means(second, divisor, output + channel + 4);
  }
}

void ek_pool_means(const ek_pool_window *window, int32_t channels, ek_pool_divisor divisor,
                   int32_t outside, int8_t *output) {
  int32_t c = 0;
  for (; c + 8 <= channels; c += 8) {
    means_of(window, c, 1, divisor, outside, output);
  }
  for (; c + 4 <= channels; c += 4) {
    means_of(window, c, 0, divisor, outside, output);
  }
  for (; c < channels; c++) {
    int32_t sum = outside;
    for (int32_t row = 0; row < window->row_count; row++) {
      sum = add_taps_of_one(row_of(window, row, c), window->columns, window->tap_bytes, sum);
    }
    output[c] = (int8_t)ek_pool_mean(divisor, sum);
  }
}

ALWAYS_INLINE void add_to_sums(halves taps, int32_t *sums) {
  sums[0] += low_half(taps.even);
  sums[1] += low_half(taps.odd);
  sums[2] += high_half(taps.even);
  sums[3] += high_half(taps.odd);
}

/* A half holds the sum of MOST_TAPS_OF_A_HALF taps. */
ALWAYS_INLINE void add_row(const int8_t *in, int32_t taps, int32_t step, int32_t has_second,
                           int32_t *sums) {
  while (taps > 0) {
    const int32_t part = taps < MOST_TAPS_OF_A_HALF ? taps : (int32_t)MOST_TAPS_OF_A_HALF;
    halves first = {0, 0}, second = {0, 0};
    add_taps(in, part, step, has_second, &first, &second);
    add_to_sums(first, sums);
    if (has_second) {
      add_to_sums(second, sums + 4);
    }
    in += part * step;
    taps -= part;
  }
}

void ek_pool_add(const ek_pool_window *window, int32_t channels, int32_t *sums) {
  const int32_t taps = window->columns, step = window->tap_bytes;
  for (int32_t row = 0; row < window->row_count; row++) {
    const int8_t *in = row_of(window, row, 0);
    int32_t c = 0;
    for (; c + 8 <= channels; c += 8) {
      add_row(in + c, taps, step, 1, sums + c);
    }
    for (; c + 4 <= channels; c += 4) {
      add_row(in + c, taps, step, 0, sums + c);
    }
    for (; c < channels; c++) {
      sums[c] = add_taps_of_one(in + c, taps, step, sums[c]);
    }
  }
}

/* The larger byte of each place. */
static inline uint32_t larger(uint32_t a, uint32_t b) { return ek_select_at_least(a, b, a, b); }

ALWAYS_INLINE void largest_of(const ek_pool_window *window, int32_t first, int32_t is_half,
                              const int8_t *initial, int8_t *output) {
  const int32_t step = window->tap_bytes;
  uint32_t a = 0x80808080u, b = 0x80808080u;
  if (initial != NULL) {
    a = ek_load_word(initial + first);
    b = is_half ? b : ek_load_word(initial + first + 4);
  }
  for (int32_t row = 0; row < window->row_count; row++) {
    const int8_t *in = row_of(window, row, first);
    for (const int8_t *end = in + window->columns * step; in != end; in += step) {
      a = larger(a, ek_load_word(in));
      b = is_half ? b : larger(b, ek_load_word(in + 4));
    }
  }
  ek_store_word(output + first, a);
  if (!is_half) {
    ek_store_word(output + first + 4, b);
  }
}

static int8_t largest_of_channel(const ek_pool_window *window, int32_t channel, int32_t best) {
  const int32_t step = window->tap_bytes;
  for (int32_t row = 0; row < window->row_count; row++) {
    const int8_t *in = row_of(window, row, channel);
    for (const int8_t *end = in + window->columns * step; in != end; in += step) {
      best = *in > best ? *in : best;
    }
  }
  return (int8_t)best;
}

void ek_pool_largest(const ek_pool_window *window, int32_t channels, const int8_t *initial,
                     int8_t *output) {
  int32_t c = 0;
  for (; c + 8 <= channels; c += 8) {
    largest_of(window, c, 0, initial, output);
  }
  for (; c + 4 <= channels; c += 4) {
    largest_of(window, c, 1, initial, output);
  }
  for (; c < channels; c++) {
    output[c] = largest_of_channel(window, c, initial != NULL ? initial[c] : -128);
  }
}

#endif
