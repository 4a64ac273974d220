/* SPDX-License-Identifier: Apache-2.0 */
/* The windows of up to 4 output pixels as lanes. Inline, because small layers feel every call. */
#ifndef EK_DSP_GATHER_H
#define EK_DSP_GATHER_H

#include "ek_dsp_geometry.h"
#include "ek_dsp_requantize.h"
#include "ek_dsp_tiles.h"

#include <string.h>

enum { EK_DSP_WORD_BYTES = 4 };

/* Of the bytes of a row that the windows of a tile span: where they begin, how many lie before the
 * row, in it and behind it. */
typedef struct {
  int32_t begin;
  int32_t left;
  int32_t inside;
  int32_t right;
} ek_dsp_span;

static inline ek_dsp_span ek_dsp_span_of(const ek_dsp_geometry *geometry, int32_t begin,
                                         int32_t bytes) {
  const int32_t left = ek_clamp(-begin, 0, bytes);
  const int32_t inside = ek_clamp(geometry->row_bytes - begin, left, bytes) - left;
  const ek_dsp_span found = {begin, left, inside, bytes - left - inside};
  return found;
}

/* Whole words that cover some bytes, up to end. */
static inline void ek_dsp_fill_up_to(int8_t *end, uint32_t word, int32_t count) {
  for (; count > 0; count -= EK_DSP_WORD_BYTES) {
    end -= EK_DSP_WORD_BYTES;
    memcpy(end, &word, sizeof word);
  }
}

/* The bytes of a span of every row, the zero point where there is no row or it does not reach. */
static inline void ek_dsp_pad_rows(const ek_dsp_geometry *geometry, const void *const *rows,
                                   int32_t count, ek_dsp_span bytes, int8_t *padded,
                                   const int8_t **windows) {
  const uint32_t word = (uint32_t)(uint8_t)geometry->input_zero_point * 0x01010101u;
  for (int32_t i = 0; i < count; i++) {
    const int8_t *row = (const int8_t *)rows[i];
    const int32_t inside = row == NULL ? 0 : bytes.inside;
    const int32_t left = bytes.left + bytes.inside - inside;
    padded += EK_DSP_WORD_BYTES - 1; /* for a word that begins before the first byte */
    windows[i] = padded;
    int8_t *behind = padded + left + inside + bytes.right;
    ek_dsp_fill_up_to(behind, word, bytes.right);
    ek_dsp_fill_up_to(padded + left, word, left);
    if (inside > 0) {
      memcpy(padded + left, row + bytes.begin + left, (size_t)inside);
    }
    padded = behind;
  }
}

/* The last taps of all segments, as groups of 4. */
static inline void ek_dsp_expand_tails(const int8_t *const *segments, int32_t count, int32_t tail,
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
static inline int16_t *ek_dsp_expand_rows(const ek_dsp_geometry *geometry,
                                          const ek_dsp_expansion *expansion,
                                          const int8_t *const *windows, int32_t rows,
                                          int32_t pixels, int16_t *lanes) {
  const int8_t *segments[EK_DSP_BATCH];
  for (int32_t row = 0; row < rows; row++) {
    const int8_t *segment = windows[row];
    for (int32_t left = geometry->row_segments; left > 0; left -= EK_DSP_BATCH) {
      const int32_t count = left < EK_DSP_BATCH ? left : (int32_t)EK_DSP_BATCH;
      for (int32_t i = 0; i < count; i++) {
        segments[i] = segment;
        segment += geometry->segment_step;
      }
      lanes = ek_dsp_expand(expansion, segments, count, pixels, lanes);
    }
  }
  return lanes;
}

/* The windows of some pixels, of which the first one's rows begin at byte begin. are_real: none of
 * the rows is padding. */
static inline void ek_dsp_gather(const ek_dsp_geometry *geometry, const ek_dsp_expansion *expansion,
                                 const void *const *rows, int are_real, int32_t begin,
                                 int32_t pixels, int16_t *lanes, int8_t *padded) {
  const int32_t step = geometry->windows.pixel_step;
  const int32_t bytes = (pixels - 1) * step + geometry->window_bytes;
  const int is_inside = are_real && begin >= 0 && begin + bytes <= geometry->row_bytes;
  const int8_t *windows[EK_DSP_BATCH];
  int32_t left = geometry->kernel_height;
  while (left > 0) {
    const int32_t count = left < EK_DSP_BATCH ? left : (int32_t)EK_DSP_BATCH;
    if (is_inside) {
      for (int32_t i = 0; i < count; i++) {
        windows[i] = (const int8_t *)rows[i] + begin;
      }
    } else {
      ek_dsp_pad_rows(geometry, rows, count, ek_dsp_span_of(geometry, begin, bytes), padded,
                      windows);
    }
    lanes = geometry->row_segments == 1
                ? ek_dsp_expand(expansion, windows, count, pixels, lanes)
                : ek_dsp_expand_rows(geometry, expansion, windows, count, pixels, lanes);
    rows += count;
    left -= count;
  }
  if (geometry->has_tails) {
    ek_dsp_expand_tails(windows, geometry->kernel_height, geometry->windows.segment_bytes, step,
                        pixels, lanes);
  }
}

static inline int ek_dsp_are_rows_real(const void *const *rows, int32_t count) {
  for (int32_t row = 0; row < count; row++) {
    if (rows[row] == NULL) {
      return 0;
    }
  }
  return 1;
}

#endif
