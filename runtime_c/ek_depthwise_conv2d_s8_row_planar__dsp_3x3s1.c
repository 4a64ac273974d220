/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_depthwise_conv2d_s8_row_planar.h"
#include "ek_dsp_depthwise_columns.h"
#include "ek_dsp_depthwise_row.h"
#include "ek_dsp_requantize.h"

enum { STRIDE = 1, GROUP = 4 };

static ek_dsp_depthwise_row row_of(const ek_depthwise_conv2d_s8_row_planar *layer, int8_t *output,
                                   int32_t columns, const int32_t *packed_end) {
  const int32_t groups = columns / GROUP;
  const int32_t tail = columns % GROUP;
  const int32_t input_words = 1 + STRIDE * groups + (tail > 3 - STRIDE ? 1 : 0);
  ek_dsp_depthwise_row row = {{0, 0},
                              layer->channels,
                              output,
                              groups * GROUP * layer->channels,
                              (uintptr_t)tail,
                              packed_end,
                              layer->channel_stride - 4 * input_words,
                              NULL};
  return row;
}

void ek_depthwise_conv2d_s8_row_planar__dsp_3x3s1(const void *layer_, const void *const *rows,
                                                  void *output, const ek_region *region,
                                                  void *scratch) {
  const ek_depthwise_conv2d_s8_row_planar *layer =
      (const ek_depthwise_conv2d_s8_row_planar *)layer_;
  (void)scratch;
  int32_t first = layer->finish == EK_DSP_GENERAL ? region->column_end : region->column_begin;
  while (first < region->column_end && first * STRIDE % 4 != 0) { /* up to the start of a word */
    first++;
  }
  if (first > region->column_begin) {
    ek_region head = *region;
    head.column_end = first;
    ek_dsp_depthwise_columns(layer, rows, (int8_t *)output, &head, STRIDE);
  }
  if (first == region->column_end) {
    return;
  }
  const int8_t *top = (const int8_t *)rows[0] + first * STRIDE;
  const int8_t *middle = (const int8_t *)rows[1] + first * STRIDE;
  const int8_t *bottom = (const int8_t *)rows[2] + first * STRIDE;
  const int32_t words =
      layer->finish == EK_DSP_CLAMPED ? EK_DSP_DEPTHWISE_CLAMPED_WORDS : EK_DSP_DEPTHWISE_WORDS;
  const int32_t *packed = layer->packed + region->channel_begin * words;
  ek_dsp_registers saved;
  ek_dsp_depthwise_row row =
      row_of(layer, (int8_t *)output + first * layer->channels + region->channel_begin,
             region->column_end - first, layer->packed + region->channel_end * words);
  row.saved = &saved;
  if (layer->finish == EK_DSP_AT_ZERO_POINT) {
    ek_dsp_depthwise_3x3s1_at_zero_point(top, middle, bottom, packed, row);
  } else if (layer->finish == EK_DSP_LINEAR) {
    ek_dsp_depthwise_3x3s1_linear(top, middle, bottom, packed, row);
  } else {
    ek_dsp_depthwise_3x3s1_clamped(top, middle, bottom, packed, row);
  }
}
