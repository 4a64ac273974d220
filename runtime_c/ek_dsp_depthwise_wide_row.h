/* SPDX-License-Identifier: Apache-2.0 */
/* The inner loops of the depthwise 5x5 and 7x7 kernels on row-planar rows: all channels of a row.
 *
 * As ek_dsp_depthwise_row.h, which also has the packed parameters, for more rows than registers
 * hold. */
#ifndef EK_DSP_DEPTHWISE_WIDE_ROW_H
#define EK_DSP_DEPTHWISE_WIDE_ROW_H

#include "ek_dsp_depthwise_columns.h"
#include "ek_dsp_depthwise_row.h"

enum { EK_DSP_DEPTHWISE_MAX_KERNEL = 7 };

/* Passed by value: on Arm it then lies in the caller's frame, where the row may write. */
typedef struct {
  uintptr_t spill[2];        /* working space */
  int32_t pixel_stride;      /* bytes from one output pixel to the next */
  int8_t *output;            /* first pixel, first channel */
  int32_t group_bytes;       /* output bytes from the first pixel to behind the last group of 4 */
  uintptr_t jumps[4];        /* working space */
  int32_t packed_bytes;      /* of a channel */
  const int32_t *packed_end; /* behind the last channel */
  int32_t input_gap;         /* bytes from behind the groups of a channel to the next one */
  const int8_t *inputs[EK_DSP_DEPTHWISE_MAX_KERNEL + 1]; /* the kernel's rows, then nothing */
} ek_dsp_depthwise_wide_row;

/* finish: AT_ZERO_POINT, LINEAR or CLAMPED; tail: 0 to 3 pixels behind the groups; packed: the
 * first channel. */
typedef void (*ek_dsp_depthwise_wide)(int32_t finish, int32_t tail, ek_dsp_registers *saved,
                                      const int32_t *packed, ek_dsp_depthwise_wide_row row);

/* Assembly has the names of C. */
#ifdef __cplusplus
extern "C" {
#endif

void ek_dsp_depthwise_5x5s1(int32_t finish, int32_t tail, ek_dsp_registers *saved,
                            const int32_t *packed, ek_dsp_depthwise_wide_row row);
void ek_dsp_depthwise_5x5s2(int32_t finish, int32_t tail, ek_dsp_registers *saved,
                            const int32_t *packed, ek_dsp_depthwise_wide_row row);
void ek_dsp_depthwise_7x7s1(int32_t finish, int32_t tail, ek_dsp_registers *saved,
                            const int32_t *packed, ek_dsp_depthwise_wide_row row);
void ek_dsp_depthwise_7x7s2(int32_t finish, int32_t tail, ek_dsp_registers *saved,
                            const int32_t *packed, ek_dsp_depthwise_wide_row row);

#ifdef __cplusplus
}
#endif

/* A kernel of ek_depthwise_conv2d_s8_row_planar.h; inline, so that run is called directly. */
static inline void ek_dsp_depthwise_wide_run(const ek_depthwise_conv2d_s8_row_planar *layer,
                                             const void *const *rows, int8_t *output,
                                             const ek_region *region, int32_t kernel,
                                             int32_t stride, ek_dsp_depthwise_wide run) {
  const int32_t first = ek_dsp_depthwise_first_columns(layer, rows, output, region, kernel, stride);
  if (first == region->column_end) {
    return;
  }
  const int32_t words = ek_dsp_depthwise_words(layer->finish, kernel, stride);
  const int32_t groups = (region->column_end - first) / 4;
  ek_dsp_registers saved;
  ek_dsp_depthwise_wide_row row;
  row.pixel_stride = layer->channels;
  row.output = output + first * layer->channels + region->channel_begin;
  row.group_bytes = groups * 4 * layer->channels;
  row.packed_bytes = 4 * words;
  row.packed_end = layer->packed + region->channel_end * words;
  row.input_gap = layer->channel_stride - 4 * stride * groups;
  for (int32_t i = 0; i <= kernel; i++) {
    row.inputs[i] = i < kernel ? (const int8_t *)rows[i] + first * stride : NULL;
  }
  run(layer->finish, (region->column_end - first) % 4, &saved,
      layer->packed + region->channel_begin * words, row);
}

#endif
