/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_depthwise_conv2d_s8_nhwc.h"
#include "ek_dsp_depthwise_taps.h"
#include "ek_dsp_requantize.h"

enum { POINTER_ALIGN = 8 };

/* Groups of output channels that one call of the inner loops computes. */
typedef struct {
  const int32_t *packed;
  int32_t groups;
  int32_t inputs;       /* channels that a group reads side by side, 4 or 1 */
  int32_t input_begin;  /* the first one, among the channels of the block */
  int32_t output_begin; /* the first channel that is written */
  int32_t output_step;  /* channels from a group to the next one */
  int32_t outputs;      /* channels of a group that are written */
} group_run;

/* What the runs share. */
typedef struct {
  const ek_depthwise_conv2d_s8_nhwc *layer;
  int32_t row_channels; /* of the input, those of the block */
  int32_t output_channels;
  int32_t group_words;
  int32_t *sums; /* read by EK_DSP_GENERAL alone */
  ek_dsp_depthwise_taps taps;
} context;

static context context_of(const ek_depthwise_conv2d_s8_nhwc *layer, const ek_region *region,
                          void *scratch) {
  static const int8_t entries[4] = {0, 3, 2, 1};
  const uintptr_t mask = POINTER_ALIGN - 1;
  const uintptr_t table = ((uintptr_t)scratch + mask) & ~mask;
  const int32_t taps = layer->kernel_height * layer->kernel_width;
  const int32_t pairs = taps / 2;
  const int32_t multiplier = layer->channel_multiplier;
  context all;
  all.layer = layer;
  all.row_channels =
      multiplier == 1 ? region->channel_end - region->channel_begin : layer->input_channels;
  all.output_channels = layer->input_channels * multiplier;
  all.group_words = 16 + pairs * 4 + (taps & 1) * 2;
  all.sums = (int32_t *)(table + (uintptr_t)taps * POINTER_ALIGN);
  all.taps.taps = (const int8_t **)table;
  all.taps.last_tap = all.taps.taps + pairs * 2;
  all.taps.entry = (uintptr_t)(pairs == 0 ? 4 : entries[pairs & 3]);
  all.taps.is_odd = (uintptr_t)(taps & 1);
  all.taps.finish = (uintptr_t)layer->finish;
  all.taps.clamp[0] = layer->raise;
  all.taps.clamp[1] = layer->lower;
  return all;
}

/* The taps of one output column, channel 0 of the block. */
static void find_taps(const context *all, const void *const *rows, int32_t column) {
  const ek_depthwise_conv2d_s8_nhwc *layer = all->layer;
  const int8_t **tap = all->taps.taps;
  int32_t first = column * layer->stride_width - layer->pad_left;
  int32_t before = 0;
  for (; first < 0 && before < layer->kernel_width; before++) {
    first += layer->dilation_width;
  }
  for (int32_t ky = 0; ky < layer->kernel_height; ky++) {
    const int8_t *row = (const int8_t *)rows[ky];
    int32_t x = first;
    for (int32_t kx = 0; kx < before; kx++) {
      *tap++ = layer->zero_points;
    }
    for (int32_t kx = before; kx < layer->kernel_width; kx++) {
      *tap++ = x < layer->input_width ? row + x * all->row_channels : layer->zero_points;
      x += layer->dilation_width;
    }
  }
}

/* Columns from column on whose taps lie in the map, as do those of column, or 1. */
static int32_t count_alike(const ek_depthwise_conv2d_s8_nhwc *layer, int32_t column, int32_t end) {
  const int32_t reach = (layer->kernel_width - 1) * layer->dilation_width;
  const int32_t last = layer->input_width - 1 + layer->pad_left - reach;
  if (column * layer->stride_width < layer->pad_left || column * layer->stride_width > last) {
    return 1;
  }
  const int32_t inside = last / layer->stride_width + 1;
  return (inside < end ? inside : end) - column;
}

static void run_groups(context *all, const group_run *run, int32_t pixels, void *output,
                       int32_t output_step, int32_t output_gap) {
  ek_dsp_registers saved;
  all->taps.output = output;
  all->taps.output_step = output_step;
  all->taps.pixels = pixels;
  all->taps.input_gap = all->layer->stride_width * all->row_channels - run->groups * run->inputs;
  all->taps.output_gap = output_gap;
  all->taps.packed_end = run->packed + run->groups * all->group_words;
  all->taps.outputs = (uintptr_t)run->outputs;
  if (run->inputs == 4) {
    ek_dsp_depthwise_taps_of_4(&saved, run->packed, run->input_begin, 0, all->taps);
  } else {
    ek_dsp_depthwise_taps_of_1(&saved, run->packed, run->input_begin, 0, all->taps);
  }
}

static void store_general(const context *all, const group_run *run, int8_t *output) {
  const ek_depthwise_conv2d_s8_nhwc *layer = all->layer;
  const int32_t zero_point = layer->output_zero_point;
  const int32_t *scales = run->packed + all->group_words - 12;
  for (int32_t group = 0; group < run->groups; group++, scales += all->group_words) {
    for (int32_t i = 0; i < run->outputs; i++) {
      const int32_t scaled = ek_scale(all->sums[group * 4 + i], scales[i * 3], scales[i * 3 + 1]);
      output[group * run->output_step + i] =
          (int8_t)(ek_clamp(scaled, layer->minimum - zero_point, layer->maximum - zero_point) +
                   zero_point);
    }
  }
}

/* Columns column to column + count - 1, whose taps are as far apart as the columns. */
static void run_columns(context *all, const group_run *run, int32_t column, int32_t count,
                        int8_t *output) {
  int8_t *out = output + column * all->output_channels + run->output_begin;
  if (all->layer->finish != EK_DSP_GENERAL) {
    const int32_t gap = all->output_channels - run->groups * run->output_step;
    run_groups(all, run, count, out, run->output_step, gap);
    return;
  }
  group_run pixel = *run;
  for (int32_t i = 0; i < count; i++) {
    run_groups(all, &pixel, 1, all->sums, 4 * (int32_t)sizeof(int32_t), 0);
    store_general(all, &pixel, out + i * all->output_channels);
    pixel.input_begin += all->layer->stride_width * all->row_channels;
  }
}

/* One output channel per input channel: groups of 4 channels, then single ones. */
static void run_block(context *all, const ek_region *region, int32_t column, int32_t count,
                      int8_t *output) {
  const int32_t whole = all->layer->input_channels & ~3;
  const int32_t begin = region->channel_begin;
  const int32_t middle = region->channel_end < whole ? region->channel_end : whole;
  const int32_t words = all->group_words;
  if (begin < middle) {
    const group_run run = {
        all->layer->packed + begin / 4 * words, (middle - begin) / 4, 4, 0, begin, 4, 4};
    run_columns(all, &run, column, count, output);
  }
  const int32_t first = begin > middle ? begin : middle;
  if (first < region->channel_end) {
    const group_run run = {all->layer->packed + (whole / 4 + first - whole) * words,
                           region->channel_end - first,
                           1,
                           first - begin,
                           first,
                           1,
                           1};
    run_columns(all, &run, column, count, output);
  }
}

/* Several output channels per input channel: groups of up to 4 outputs of one channel. */
static void run_multiplied(context *all, int32_t column, int32_t count, int8_t *output) {
  const int32_t channels = all->layer->input_channels;
  const int32_t multiplier = all->layer->channel_multiplier;
  const int32_t *packed = all->layer->packed;
  for (int32_t first = 0; first < multiplier; first += 4) {
    const int32_t outputs = multiplier - first < 4 ? multiplier - first : 4;
    const group_run run = {packed, channels, 1, 0, first, multiplier, outputs};
    run_columns(all, &run, column, count, output);
    packed += channels * all->group_words;
  }
}

void ek_depthwise_conv2d_s8_nhwc__dsp_1x4(const void *layer_, const void *const *rows, void *output,
                                          const ek_region *region, void *scratch) {
  const ek_depthwise_conv2d_s8_nhwc *layer = (const ek_depthwise_conv2d_s8_nhwc *)layer_;
  context all = context_of(layer, region, scratch);
  int32_t count;
  for (int32_t column = region->column_begin; column < region->column_end; column += count) {
    count = count_alike(layer, column, region->column_end);
    find_taps(&all, rows, column);
    if (layer->channel_multiplier == 1) {
      run_block(&all, region, column, count, (int8_t *)output);
    } else {
      run_multiplied(&all, column, count, (int8_t *)output);
    }
  }
}
