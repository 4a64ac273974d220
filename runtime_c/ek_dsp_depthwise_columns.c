/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dsp_depthwise_columns.h"
#include "ek_dsp_depthwise_row.h"
#include "ek_dsp_requantize.h"
#include "ek_row_planar.h"

static int32_t low_half(int32_t word) { return (int16_t)(uint16_t)((uint32_t)word & 0xffffu); }

/* The weight of a tap among those of its kernel row. */
static int32_t weight_of(const int32_t *weights, int32_t tap, int32_t kernel, int32_t stride) {
  if (tap + 1 < kernel || stride == 2) {
    return (tap & 1) != 0 ? weights[tap / 2] >> 16 : low_half(weights[tap / 2]);
  }
  return weights[kernel - 2] >> 16;
}

/* The sum of one channel in the units of its packed parameters. */
static int32_t sum_of(const int32_t *channel, const void *const *rows, int32_t offset,
                      int32_t column, int32_t kernel, int32_t stride) {
  const int32_t row_words = ek_dsp_depthwise_row_words(kernel, stride);
  const int32_t *weights = channel + EK_DSP_DEPTHWISE_WEIGHTS;
  int32_t sum = weights[kernel * row_words];
  for (int32_t row = 0; row < kernel; row++, weights += row_words) {
    const int8_t *x = (const int8_t *)rows[row] + offset;
    for (int32_t tap = 0; tap < kernel; tap++) {
      sum += x[ek_planar_byte(column + tap)] * weight_of(weights, tap, kernel, stride);
    }
  }
  return sum;
}

static int8_t finish_of(const ek_depthwise_conv2d_s8_row_planar *layer, const int32_t *channel,
                        const int32_t *clamp, int32_t sum) {
  if (layer->finish != EK_DSP_GENERAL) {
    return ek_dsp_requantize(sum, channel, clamp, layer->finish);
  }
  const int32_t zero_point = layer->output_zero_point;
  const int32_t scaled = ek_scale(sum, channel[0], channel[1]);
  return (int8_t)ek_offset_clamp(scaled, zero_point, layer->minimum, layer->maximum);
}

void ek_dsp_depthwise_columns(const ek_depthwise_conv2d_s8_row_planar *layer,
                              const void *const *rows, int8_t *output, const ek_region *region,
                              int32_t kernel, int32_t stride) {
  const int32_t words = ek_dsp_depthwise_words(layer->finish, kernel, stride);
  const int32_t *clamp = layer->packed + ek_dsp_depthwise_words(EK_DSP_LINEAR, kernel, stride);
  for (int32_t c = region->channel_begin; c < region->channel_end; c++) {
    const int32_t *channel = layer->packed + c * words;
    const int32_t offset = (c - region->channel_begin) * layer->channel_stride;
    for (int32_t column = region->column_begin; column < region->column_end; column++) {
      const int32_t sum = sum_of(channel, rows, offset, column * stride, kernel, stride);
      output[column * layer->channels + c] = finish_of(layer, channel, clamp + c * words, sum);
    }
  }
}
