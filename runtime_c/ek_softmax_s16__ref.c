/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_interpolate.h"
#include "ek_requantize.h"
#include "ek_softmax_s16.h"

static int32_t largest(const int16_t *in, int32_t depth) {
  int32_t best = in[0];
  for (int32_t i = 1; i < depth; i++) {
    best = in[i] > best ? in[i] : best;
  }
  return best;
}

/* Puts the exponentials into out; their sum is returned. */
static int32_t exponentials(const ek_softmax_s16 *layer, const int16_t *in, int16_t *out) {
  const int32_t most = largest(in, layer->depth);
  int32_t sum = 0;
  for (int32_t i = 0; i < layer->depth; i++) {
    const int32_t scaled = ek_scale(in[i] - most, layer->multiplier, layer->shift);
    const int32_t place = ek_clamp(scaled, -65535, 0) + 32767;
    out[i] = (int16_t)ek_interpolate(layer->exponentials, place);
    sum += out[i];
  }
  return sum;
}

static int32_t bit_length(int32_t x) {
  int32_t bits = 0;
  for (; x > 0; x >>= 1) {
    bits++;
  }
  return bits;
}

void ek_softmax_s16__ref(const void *layer_, const void *const *rows, void *output,
                         const ek_region *region, void *scratch) {
  const ek_softmax_s16 *layer = (const ek_softmax_s16 *)layer_;
  (void)scratch;
  for (int32_t x = region->column_begin; x < region->column_end; x++) {
    int16_t *out = (int16_t *)output + x * layer->depth;
    const int16_t *in = (const int16_t *)rows[0] + x * layer->depth;
    const int32_t sum = exponentials(layer, in, out);
    const int32_t shift = bit_length(sum) - 1;
    const int32_t normal = (int32_t)((((uint32_t)sum << (30 - shift)) + (1u << 13)) >> 14);
    const int32_t fraction = ek_clamp(normal - (1 << 15) - (1 << 16), -32768, 32767);
    const int32_t reciprocal = ek_interpolate(layer->reciprocals, fraction);
    for (int32_t i = 0; i < layer->depth; i++) {
      const int32_t product = out[i] * reciprocal + ((int32_t)1 << (shift - 1));
      out[i] = (int16_t)ek_clamp(product >> shift, 0, 32767);
    }
  }
}
