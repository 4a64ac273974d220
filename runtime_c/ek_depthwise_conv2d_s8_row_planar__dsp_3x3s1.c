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
  const int32_t words = ek_dsp_depthwise_words(layer->finish, KERNEL, STRIDE);
  const int32_t groups = (region->column_end - first) / 4;
  const int32_t tail = (region->column_end - first) % 4;
  const int32_t input_words = 1 + STRIDE * groups + (tail > 3 - STRIDE ? 1 : 0);
  ek_dsp_registers saved;
  ek_dsp_depthwise_row row;
  row.pixel_stride = layer->channels;
  row.output = (int8_t *)output + first * layer->channels + region->channel_begin;
  row.group_bytes = groups * 4 * layer->channels;
  row.tail = (uintptr_t)(tail == 0 && layer->finish == EK_DSP_CLAMPED ? 4 : tail);
  row.finish = (uintptr_t)layer->finish;
  row.packed_end = layer->packed + region->channel_end * words;
  row.input_gap = layer->channel_stride - 4 * input_words;
  row.saved = &saved;
  ek_dsp_depthwise_3x3s1(
      (const int8_t *)rows[0] + first * STRIDE, (const int8_t *)rows[1] + first * STRIDE,
      (const int8_t *)rows[2] + first * STRIDE, layer->packed + region->channel_begin * words, row);
}
