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

/* Products of an input with four weights. */
typedef struct {
  int32_t t, u, v, w;
} row_products;

static inline row_products add_row_products(row_products sum, const int8_t *x, const int8_t *t,
                                            const int8_t *u, const int8_t *v, const int8_t *w,
                                            int32_t i) {
  const int32_t a = x[i];
  sum.t += a * t[i];
  sum.u += a * u[i];
  sum.v += a * v[i];
  sum.w += a * w[i];
  return sum;
}

void ek_dot_1x4(const ek_dot_tile *tile, int32_t *sums) {
  const int8_t *x = tile->inputs[0];
  const int8_t *t = tile->weights[0], *u = tile->weights[1];
  const int8_t *v = tile->weights[2], *w = tile->weights[3];
  const int8_t *const end = x + tile->count, *const whole = end - (tile->count & 3);
  row_products sum = {sums[0], sums[1], sums[2], sums[3]};
  for (; x != whole; x += 4, t += 4, u += 4, v += 4, w += 4) {
    sum = add_row_products(sum, x, t, u, v, w, 0);
    sum = add_row_products(sum, x, t, u, v, w, 1);
    sum = add_row_products(sum, x, t, u, v, w, 2);
    sum = add_row_products(sum, x, t, u, v, w, 3);
  }
  for (; x != end; x++, t++, u++, v++, w++) {
    sum = add_row_products(sum, x, t, u, v, w, 0);
  }
  sums[0] = sum.t;
  sums[1] = sum.u;
  sums[2] = sum.v;
  sums[3] = sum.w;
}

#endif
