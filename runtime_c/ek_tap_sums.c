/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_tap_sums.h"

void ek_tap_add(const ek_tap *tap, const ek_tap *end, const void *const *rows, int32_t channel,
                const int8_t *weights, int32_t *sums) {
  int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
  for (; tap != end; tap++) {
    const int8_t *x = (const int8_t *)rows[tap->row] + tap->byte + channel;
    const int8_t *w = weights + tap->weight;
    a += x[0] * w[0];
    b += x[1] * w[1];
    c += x[2] * w[2];
    d += x[3] * w[3];
  }
  sums[0] = a;
  sums[1] = b;
  sums[2] = c;
  sums[3] = d;
}

void ek_tap_add_padding(const ek_tap *tap, const ek_tap *end, int32_t zero_point,
                        const int8_t *weights, int32_t *sums) {
  int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
  for (; tap != end; tap++) {
    const int8_t *w = weights + tap->weight;
    a += zero_point * w[0];
    b += zero_point * w[1];
    c += zero_point * w[2];
    d += zero_point * w[3];
  }
  sums[0] = a;
  sums[1] = b;
  sums[2] = c;
  sums[3] = d;
}
