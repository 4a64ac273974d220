/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_inverse_root.h"
#include "ek_layer_normalization_s8.h"

static void normalize_pixel(const ek_layer_normalization_s8 *layer, const int8_t *in, int8_t *out) {
  int32_t sum = 0, squares = 0;
  for (int32_t c = 0; c < layer->depth; c++) {
    sum += in[c];
    squares += in[c] * in[c];
  }
  const int32_t epsilon_left = layer->epsilon_shift > 0 ? layer->epsilon_shift : 0;
  const int32_t variance_left = epsilon_left - layer->epsilon_shift;
  const int64_t variance = (int64_t)layer->depth * squares - (int64_t)sum * sum;
  const ek_factor inverse = ek_inverse_square_root_64(
      variance * ((int64_t)1 << variance_left) + layer->epsilon * ((int64_t)1 << epsilon_left));
  const int32_t shift = inverse.shift + layer->normalized_shift;
  const int32_t left = shift > 0 ? shift : 0;
  const int32_t multiplier = ek_rounding_shift_right(inverse.multiplier, shift > 0 ? 0 : -shift);
  for (int32_t c = 0; c < layer->depth; c++) {
    const int32_t deviation = layer->depth * in[c] - sum;
    const int32_t n = ek_doubling_high_multiply(deviation * (1 << left), multiplier);
    const int32_t scaled =
        ek_scale(n * layer->gamma[c] + layer->beta[c], layer->multiplier, layer->shift);
    out[c] = (int8_t)ek_offset_clamp(scaled, layer->output_zero_point, -128, 127);
  }
}

void ek_layer_normalization_s8__ref(const void *layer_, const void *const *rows, void *output,
                                    const ek_region *region, void *scratch) {
  const ek_layer_normalization_s8 *layer = (const ek_layer_normalization_s8 *)layer_;
  (void)scratch;
  for (int32_t x = region->column_begin; x < region->column_end; x++) {
    normalize_pixel(layer, (const int8_t *)rows[0] + x * layer->depth,
                    (int8_t *)output + x * layer->depth);
  }
}
