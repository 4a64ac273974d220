/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dot_tile.h"

#if !defined(__ARM_ARCH_ISA_THUMB) || __ARM_ARCH_ISA_THUMB != 1

/* Products of inputs x, y with weights v, w. */
typedef struct {
  int32_t xv, xw, yv, yw;
} products;

/* Of the elements at position i. */
static inline products add_products(products sum, const int8_t *x, const int8_t *y, const int8_t *v,
                                    const int8_t *w, int32_t i) {
  const int32_t a = x[i], b = y[i], c = v[i], d = w[i];
  sum.xv += a * c;
  sum.xw += a * d;
  sum.yv += b * c;
  sum.yw += b * d;
  return sum;
}

void ek_dot_2x2(const ek_dot_tile *tile, int32_t *sums) {
  const int8_t *x = tile->inputs[0], *y = tile->inputs[1];
  const int8_t *v = tile->weights[0], *w = tile->weights[1];
  const int8_t *const end = x + tile->count, *const whole = end - (tile->count & 3);
  products sum = {sums[0], sums[1], sums[2], sums[3]};
  for (; x != whole; x += 4, y += 4, v += 4, w += 4) {
    sum = add_products(sum, x, y, v, w, 0);
    sum = add_products(sum, x, y, v, w, 1);
    sum = add_products(sum, x, y, v, w, 2);
    sum = add_products(sum, x, y, v, w, 3);
  }
  for (; x != end; x++, y++, v++, w++) {
    sum = add_products(sum, x, y, v, w, 0);
  }
  sums[0] = sum.xv;
  sums[1] = sum.xw;
  sums[2] = sum.yv;
  sums[3] = sum.yw;
}

void ek_dot_1x4(const ek_dot_tile *tile, int32_t *sums) {
  const int8_t *x = tile->inputs[0];
  const int8_t *t = tile->weights[0], *u = tile->weights[1];
  const int8_t *v = tile->weights[2], *w = tile->weights[3];
  int32_t xt = sums[0], xu = sums[1], xv = sums[2], xw = sums[3];
  for (const int8_t *end = x + tile->count; x != end;) {
    const int32_t a = *x++;
    xt += a * *t++;
    xu += a * *u++;
    xv += a * *v++;
    xw += a * *w++;
  }
  sums[0] = xt;
  sums[1] = xu;
  sums[2] = xv;
  sums[3] = xw;
}

#endif
