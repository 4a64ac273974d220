/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_conv2d_s8_packed.h"
#include "ek_dsp_requantize.h"
#include "ek_dsp_tiles.h"

#include <string.h>

enum { WORD_BYTES = 4 };

/* Of the bytes of a row that the windows of a tile span: where they begin, how many lie before the
 * row, in it and behind it. */
typedef struct {
  int32_t begin;
  int32_t left;
  int32_t inside;
  int32_t right;
} span;

static span span_of(const ek_conv2d_s8_packed *layer, int32_t begin, int32_t bytes) {
  const int32_t left = ek_clamp(-begin, 0, bytes);
  const int32_t inside = ek_clamp(layer->row_bytes - begin, left, bytes) - left;
  const span found = {begin, left, inside, bytes - left - inside};
  return found;
}

/* Whole words that cover some bytes, up to end. */
static void fill_up_to(int8_t *end, uint32_t word, int32_t count) {
  for (; count > 0; count -= WORD_BYTES) {
    end -= WORD_BYTES;
    memcpy(end, &word, sizeof word);
  }
}

/* The bytes of a span of every row, the zero point where there is no row or it does not reach. */
static void pad_rows(const ek_conv2d_s8_packed *layer, const void *const *rows, int32_t count,
                     span bytes, int8_t *padded, const int8_t **windows) {
  const uint32_t word = (uint32_t)(uint8_t)layer->input_zero_point * 0x01010101u;
  for (int32_t i = 0; i < count; i++) {
    const int8_t *row = (const int8_t *)rows[i];
    const int32_t inside = row == NULL ? 0 : bytes.inside;
    const int32_t left = bytes.left + bytes.inside - inside;
    padded += WORD_BYTES - 1; /* for a word that begins before the first byte */
    windows[i] = padded;
    int8_t *behind = padded + left + inside + bytes.right;
    fill_up_to(behind, word, bytes.right);
    fill_up_to(padded + left, word, left);
    if (inside > 0) {
      memcpy(padded + left, row + bytes.begin + left, (size_t)inside);
    }
    padded = behind;
  }
}

/* The last taps of all segments, as groups of 4. */
static void expand_tails(const int8_t *const *segments, int32_t count, int32_t tail,
                         int32_t pixel_step, int32_t pixels, int16_t *lanes) {
  const int32_t half = ek_dsp_lanes_per_group(pixels) / 2;
  const int32_t last = count - 1;
  for (int32_t first = 0; first < count; first += 4, lanes += 2 * half) {
    const int8_t *a = segments[first] + tail;
    const int8_t *b = segments[first + 1 < last ? first + 1 : last] + tail;
    const int8_t *c = segments[first + 2 < last ? first + 2 : last] + tail;
    const int8_t *d = segments[first + 3 < last ? first + 3 : last] + tail;
    int16_t *next = lanes;
    for (int32_t pixel = 0; pixel < pixels; pixel++, next += 2) {
      next[0] = *a;
      next[1] = *c;
      next[half] = *b;
      next[half + 1] = *d;
      a += pixel_step;
      b += pixel_step;
      c += pixel_step;
      d += pixel_step;
    }
  }
}

/* Segments of rows that have several of them. */
static int16_t *expand_rows(const ek_conv2d_s8_packed *layer, const ek_dsp_tiles *tiles,
                            const int8_t *const *windows, int32_t rows, int32_t pixels,
                            int16_t *lanes) {
  const int8_t *segments[EK_CONV2D_BATCH];
  for (int32_t row = 0; row < rows; row++) {
    const int8_t *segment = windows[row];
    for (int32_t left = layer->row_segments; left > 0; left -= EK_CONV2D_BATCH) {
      const int32_t count = left < EK_CONV2D_BATCH ? left : (int32_t)EK_CONV2D_BATCH;
      for (int32_t i = 0; i < count; i++) {
        segments[i] = segment;
        segment += layer->segment_step;
      }
      lanes = ek_dsp_expand(tiles, segments, count, pixels, lanes);
    }
  }
  return lanes;
}

/* The windows of some pixels, of which the first one's rows begin at byte begin. are_real: none of
 * the rows is padding. */
static void gather(const ek_conv2d_s8_packed *layer, const ek_dsp_tiles *tiles,
                   const void *const *rows, int are_real, int32_t begin, int32_t pixels,
                   int16_t *lanes, int8_t *padded) {
  const int32_t step = layer->windows.pixel_step;
  const int32_t bytes = (pixels - 1) * step + layer->window_bytes;
  const int is_inside = are_real && begin >= 0 && begin + bytes <= layer->row_bytes;
  const int8_t *windows[EK_CONV2D_BATCH];
  int32_t left = layer->kernel_height;
  while (left > 0) {
    const int32_t count = left < EK_CONV2D_BATCH ? left : (int32_t)EK_CONV2D_BATCH;
    if (is_inside) {
      for (int32_t i = 0; i < count; i++) {
        windows[i] = (const int8_t *)rows[i] + begin;
      }
    } else {
      pad_rows(layer, rows, count, span_of(layer, begin, bytes), padded, windows);
    }
    lanes = layer->row_segments == 1 ? ek_dsp_expand(tiles, windows, count, pixels, lanes)
                                     : expand_rows(layer, tiles, windows, count, pixels, lanes);
    rows += count;
    left -= count;
  }
  if (layer->has_tails) {
    expand_tails(windows, layer->kernel_height, layer->windows.segment_bytes, step, pixels, lanes);
  }
}

static int are_rows_real(const void *const *rows, int32_t count) {
  for (int32_t row = 0; row < count; row++) {
    if (rows[row] == NULL) {
      return 0;
    }
  }
  return 1;
}

/* The outputs of one group of channels. */
static void run_group(const ek_conv2d_s8_packed *layer, const void *const *rows,
                      const ek_region *region, int32_t begin, ek_dsp_tiles *tiles, int16_t *lanes) {
  const int32_t sums = layer->pairs.finish == EK_DSP_GENERAL ? (int32_t)EK_DSP_SUMS : 0;
  int8_t *padded = (int8_t *)(tiles->sums + sums);
  const int are_real = are_rows_real(rows, layer->kernel_height);
  for (int32_t left = region->column_end - region->column_begin; left > 0;
       left -= EK_DSP_TILE_PIXELS) {
    const int32_t count = left < EK_DSP_TILE_PIXELS ? left : (int32_t)EK_DSP_TILE_PIXELS;
    gather(layer, tiles, rows, are_real, begin, count, lanes, padded);
    ek_dsp_tiles_next(tiles, count);
    begin += EK_DSP_TILE_PIXELS * layer->windows.pixel_step;
  }
}

void ek_conv2d_s8_packed__dsp_4x2(const void *layer_, const void *const *rows, void *output,
                                  const ek_region *region, void *scratch) {
  const ek_conv2d_s8_packed *layer = (const ek_conv2d_s8_packed *)layer_;
  const ek_dsp_pairs *pairs = &layer->pairs;
  const int32_t begin = region->column_begin * layer->windows.pixel_step - layer->pad_bytes;
  const int32_t block = region->channel_end - region->channel_begin;
  const int32_t channels = layer->channel_groups == 1 ? block : layer->group_outputs;
  const int32_t group_pairs = (channels + pairs->pair_channels - 1) / pairs->pair_channels;
  const int32_t *packed =
      pairs->packed + region->channel_begin / pairs->pair_channels * pairs->pair_words;
  const ek_dsp_tiles_place place = {channels, block, region->column_begin};
  for (int32_t group = 0; group < layer->channel_groups; group++) {
    int16_t *lanes = (int16_t *)scratch;
    int8_t *group_output = (int8_t *)output + group * channels * pairs->channel_step;
    ek_dsp_tiles tiles;
    ek_dsp_tiles_begin(&tiles, pairs, &layer->windows, packed, place, group_output, lanes);
    run_group(layer, rows, region, begin + group * layer->group_inputs, &tiles, lanes);
    packed += group_pairs * pairs->pair_words;
  }
}
