/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_depthwise_conv2d_s8_row_planar.h"
#include "ek_dsp_depthwise_columns.h"
#include "ek_dsp_depthwise_row.h"

enum { KERNEL = 3, STRIDE = 1 };

void ek_depthwise_conv2d_s8_row_planar__dsp_3x3s1(const void *layer_, const void *const *rows,
                                                  void *output, const ek_region *region,
                                                  void *scratch) {
  const ek_depthwise_conv2d_s8_row_planar *layer =
      (const ek_depthwise_conv2d_s8_row_planar *)layer_;
  (void)scratch;
  const int32_t first =
      ek_dsp_depthwise_first_columns(layer, rows, (int8_t *)output, region, KERNEL, STRIDE);
  if (first == region->column_end) {
    return;
  }
  const int8_t *top = (const int8_t *)rows[0] + first * STRIDE;
  const int8_t *middle = (const int8_t *)rows[1] + first * STRIDE;
  const int8_t *bottom = (const int8_t *)rows[2] + first * STRIDE;
  const int32_t words = ek_dsp_depthwise_words(layer->finish, KERNEL, STRIDE);
  const int32_t *packed = layer->packed + region->channel_begin * words;
  const int32_t groups = (region->column_end - first) / 4;
  const int32_t tail = (region->column_end - first) % 4;
  const int32_t input_words = 1 + STRIDE * groups + (tail > 3 - STRIDE ? 1 : 0);
  ek_dsp_registers saved;
  const ek_dsp_depthwise_row row = {{0, 0},
                                    layer->channels,
                                    (int8_t *)output + first * layer->channels +
                                        region->channel_begin,
                                    groups * 4 * layer->channels,
                                    (uintptr_t)tail,
                                    layer->packed + region->channel_end * words,
                                    layer->channel_stride - 4 * input_words,
                                    &saved};
  if (layer->finish == EK_DSP_AT_ZERO_POINT) {
    ek_dsp_depthwise_3x3s1_at_zero_point(top, middle, bottom, packed, row);
  } else if (layer->finish == EK_DSP_LINEAR) {
    ek_dsp_depthwise_3x3s1_linear(top, middle, bottom, packed, row);
  } else {
    ek_dsp_depthwise_3x3s1_clamped(top, middle, bottom, packed, row);
  }
}
