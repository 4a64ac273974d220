/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dsp_depthwise_columns.h"
#include "ek_dsp_depthwise_row.h"

#if !defined(__ARM_FEATURE_DSP)

/* The row as the first channels of a layer of its own: output columns from 0. */
static void row_of(const void *const *rows, const int32_t *packed, const ek_dsp_depthwise_row *row,
                   int32_t stride) {
  const int32_t tail = (int32_t)(row->tail & 3);
  const int32_t finish = (int32_t)row->finish;
  const int32_t groups = row->group_bytes / (4 * row->pixel_stride);
  const int32_t input_words = 1 + stride * groups + (tail > 3 - stride ? 1 : 0);
  const int32_t channels =
      (int32_t)(row->packed_end - packed) / ek_dsp_depthwise_words(finish, 3, stride);
  const ek_region region = {0, 0, groups * 4 + tail, 0, channels};
  const ek_depthwise_conv2d_s8_row_planar layer = {
      packed, row->pixel_stride, input_words * 4 + row->input_gap, finish, 0, -128, 127};
  ek_dsp_depthwise_columns(&layer, rows, row->output, &region, 3, stride);
}

void ek_dsp_depthwise_3x3s1(const int8_t *top, const int8_t *middle, const int8_t *bottom,
                            const int32_t *packed, ek_dsp_depthwise_row row) {
  const void *const rows[3] = {top, middle, bottom};
  row_of(rows, packed, &row, 1);
}

void ek_dsp_depthwise_3x3s2(const int8_t *top, const int8_t *middle, const int8_t *bottom,
                            const int32_t *packed, ek_dsp_depthwise_row row) {
  const void *const rows[3] = {top, middle, bottom};
  row_of(rows, packed, &row, 2);
}

#endif
