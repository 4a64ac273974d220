/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dsp_depthwise_wide_row.h"

#if !defined(__ARM_FEATURE_DSP)

/* The row as the first channels of a layer of its own: output columns from 0. */
static void row_of(int32_t finish, int32_t tail, const int32_t *packed,
                   const ek_dsp_depthwise_wide_row *row, int32_t kernel, int32_t stride) {
  const int32_t groups = row->group_bytes / (4 * row->pixel_stride);
  const void *rows[EK_DSP_DEPTHWISE_MAX_KERNEL];
  for (int32_t i = 0; i < kernel; i++) {
    rows[i] = row->inputs[i];
  }
  const int32_t channels = (int32_t)(row->packed_end - packed) * 4 / row->packed_bytes;
  const ek_region region = {0, 0, groups * 4 + tail, 0, channels};
  const ek_depthwise_conv2d_s8_row_planar layer = {
      packed, row->pixel_stride, 4 * stride * groups + row->input_gap, finish, 0, -128, 127};
  ek_dsp_depthwise_columns(&layer, rows, row->output, &region, kernel, stride);
}

void ek_dsp_depthwise_5x5s1(int32_t finish, int32_t tail, ek_dsp_registers *saved,
                            const int32_t *packed, ek_dsp_depthwise_wide_row row) {
  (void)saved;
  row_of(finish, tail, packed, &row, 5, 1);
}

void ek_dsp_depthwise_5x5s2(int32_t finish, int32_t tail, ek_dsp_registers *saved,
                            const int32_t *packed, ek_dsp_depthwise_wide_row row) {
  (void)saved;
  row_of(finish, tail, packed, &row, 5, 2);
}

void ek_dsp_depthwise_7x7s1(int32_t finish, int32_t tail, ek_dsp_registers *saved,
                            const int32_t *packed, ek_dsp_depthwise_wide_row row) {
  (void)saved;
  row_of(finish, tail, packed, &row, 7, 1);
}

void ek_dsp_depthwise_7x7s2(int32_t finish, int32_t tail, ek_dsp_registers *saved,
                            const int32_t *packed, ek_dsp_depthwise_wide_row row) {
  (void)saved;
  row_of(finish, tail, packed, &row, 7, 2);
}

#endif
