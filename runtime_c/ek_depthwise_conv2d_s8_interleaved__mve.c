/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_depthwise_conv2d_s8_interleaved.h"
#include "ek_mve_depthwise.h"
#include "ek_mve_gather.h"

enum { LANES = 16, PARAMETER_WORDS = 48, SEGMENTS = 4 };

/* What the pixels of a call have in common. */
typedef struct {
  const ek_depthwise_conv2d_s8_interleaved *layer;
  const void *const *rows;
  const int8_t *padding; /* zero points for all channels of the block */
  int32_t channels;      /* of the block */
} depthwise_call;

/* The inputs of every tap of a pixel. */
static void find_taps(const depthwise_call *call, int32_t column, const int8_t **taps) {
  const ek_depthwise_conv2d_s8_interleaved *layer = call->layer;
  const int32_t dilation = layer->dilation_width;
  const int32_t first = column * layer->stride_width - layer->pad_left;
  const int32_t step = dilation * call->channels;
  const int8_t **tap = taps;
  int32_t begin = 0; /* of the taps inside the width of the map */
  int32_t end = layer->kernel_width;
  for (int32_t x = first; begin < end && x < 0; x += dilation) {
    begin++;
  }
  for (int32_t x = first + (end - 1) * dilation; end > begin && x >= layer->input_width;
       x -= dilation) {
    end--;
  }
  const int32_t offset = (first + begin * dilation) * call->channels;
  for (int32_t ky = 0; ky < layer->kernel_height; ky++) {
    const int8_t *row = (const int8_t *)call->rows[ky];
    const int8_t **const row_end = tap + layer->kernel_width;
    if (row != NULL) {
      for (int32_t kx = 0; kx < begin; kx++) {
        *tap++ = call->padding;
      }
      for (int32_t kx = begin, at = offset; kx < end; kx++, at += step) {
        *tap++ = row + at;
      }
    }
    while (tap != row_end) {
      *tap++ = call->padding;
    }
  }
  while (tap <= taps + 4 * layer->quads) {
    *tap++ = taps[0]; /* some inputs, for weights of 0 */
  }
}

/* The same for 3x3 kernels. */
static void find_nine_taps(const depthwise_call *call, int32_t column, const int8_t **taps) {
  const ek_depthwise_conv2d_s8_interleaved *layer = call->layer;
  const int8_t *const *rows = (const int8_t *const *)call->rows;
  int32_t x = column * layer->stride_width - layer->pad_left;
  for (int32_t kx = 0; kx < 3; kx++, x += layer->dilation_width) {
    const int is_inside = (uint32_t)x < (uint32_t)layer->input_width;
    const int32_t offset = x * call->channels;
    taps[kx] = is_inside && rows[0] != NULL ? rows[0] + offset : call->padding;
    taps[kx + 3] = is_inside && rows[1] != NULL ? rows[1] + offset : call->padding;
    taps[kx + 6] = is_inside && rows[2] != NULL ? rows[2] + offset : call->padding;
  }
}

/* How many pixels up to end need not find their taps anew, because no tap leaves the width of the
 * map. */
static int32_t pixels_together(const ek_depthwise_conv2d_s8_interleaved *layer, int32_t column,
                               int32_t end) {
  const int32_t last = end < layer->inside_end ? end : layer->inside_end;
  return column >= layer->inside_begin && column < last ? last - column : 1;
}

/* Rows of padding stay where they are. */
static void run_3x3(const depthwise_call *call, const ek_region *region, const int8_t *weights,
                    const int32_t *parameters, ek_mve_depthwise_row *row) {
  ek_mve_segment segments[SEGMENTS];
  for (int32_t ky = 0; ky < 3; ky++) {
    if (call->rows[ky] == NULL) {
      row->tap_steps[ky] = 0;
    }
  }
  for (int32_t column = region->column_begin; column < region->column_end;) {
    const int32_t first = column;
    int32_t count = 0;
    while (count < SEGMENTS && column < region->column_end) {
      ek_mve_segment *segment = &segments[count++];
      find_nine_taps(call, column, segment->taps);
      segment->pixels = pixels_together(call->layer, column, region->column_end);
      column += segment->pixels;
    }
    row->pixels = count;
    ek_mve_depthwise_3x3(segments, weights, parameters, row);
    row->output += (column - first) * row->output_step;
  }
}

static void run_any(const depthwise_call *call, const ek_region *region, const int8_t *weights,
                    const int32_t *parameters, ek_mve_depthwise_row *row) {
  for (int32_t ky = 0; ky < call->layer->kernel_height; ky++) {
    if (call->rows[ky] == NULL) {
      row->padding = call->padding;
    }
  }
  const int8_t *taps[EK_MVE_DEPTHWISE_TAPS];
  for (int32_t column = region->column_begin; column < region->column_end; column += row->pixels) {
    row->pixels = pixels_together(call->layer, column, region->column_end);
    find_taps(call, column, taps);
    ek_mve_depthwise(taps, weights, parameters, row);
    row->output += row->pixels * row->output_step;
  }
}

void ek_depthwise_conv2d_s8_interleaved__mve(const void *layer_, const void *const *rows,
                                             void *output, const ek_region *region, void *scratch) {
  const ek_depthwise_conv2d_s8_interleaved *layer =
      (const ek_depthwise_conv2d_s8_interleaved *)layer_;
  const int32_t group = region->channel_begin / LANES;
  const int8_t *weights = layer->weights + group * (1 + 4 * layer->quads) * LANES;
  const int32_t *parameters = layer->parameters + group * PARAMETER_WORDS;
  const int32_t channels = region->channel_end - region->channel_begin;
  const int32_t step = layer->stride_width * channels;
  const depthwise_call call = {layer, rows, (const int8_t *)scratch, channels};
  const ek_mve_patch zero_points = {(int8_t *)scratch,      NULL, 1, 0, channels, 0,
                                    layer->input_zero_point};
  ek_mve_depthwise_row row = {
      channels,
      layer->output_zero_point,
      layer->minimum,
      layer->maximum,
      layer->minimum != -128 || layer->maximum != 127 || layer->output_zero_point != -128,
      (int8_t *)output + region->column_begin * layer->channels + region->channel_begin,
      layer->channels,
      {step, step, step},
      NULL,
      1,
      layer->quads};
  ek_mve_fill(&zero_points);
  if (layer->kernel_height == 3 && layer->kernel_width == 3) {
    run_3x3(&call, region, weights, parameters, &row);
  } else {
    run_any(&call, region, weights, parameters, &row);
  }
}
