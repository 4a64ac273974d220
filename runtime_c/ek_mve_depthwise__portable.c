/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_mve_depthwise.h"
#include "ek_requantize.h"

#if !defined(__ARM_FEATURE_MVE)

enum { LANES = 16, QUAD = 4, WORDS_PER_QUAD = 12, NINE = 9 };

/* Which quad of the parameters has the channels that leave each remainder when divided by 4. */
static const int8_t quad_of[QUAD] = {0, 2, 1, 3};

static int8_t finish(const ek_mve_depthwise_row *row, const int32_t *parameters, int32_t lane,
                     int32_t sum) {
  const int32_t *own = parameters + quad_of[lane % QUAD] * WORDS_PER_QUAD + lane / QUAD;
  const int32_t scaled = ek_scale(sum + own[0], own[QUAD], own[2 * QUAD]);
  const int32_t zero_point = row->zero_point;
  return (int8_t)ek_offset_clamp(scaled, zero_point, row->minimum, row->maximum);
}

/* One pixel. */
static void run(const int8_t *const *taps, const int8_t *weights, const int32_t *parameters,
                int32_t tap_count, const ek_mve_depthwise_row *row, int8_t *output) {
  for (int32_t channel = 0; channel < row->channels; channel++) {
    const int32_t group = channel / LANES;
    const int32_t lane = channel % LANES;
    const int8_t *own = weights + group * tap_count * LANES + lane;
    int32_t sum = 0;
    for (int32_t tap = 0; tap < tap_count; tap++) {
      sum += taps[tap][channel] * own[tap * LANES];
    }
    output[channel] = finish(row, parameters + group * QUAD * WORDS_PER_QUAD, lane, sum);
  }
}

void ek_mve_depthwise(const int8_t **taps, const int8_t *weights, const int32_t *parameters,
                      const ek_mve_depthwise_row *row) {
  const int32_t tap_count = 1 + QUAD * row->quads;
  for (int32_t pixel = 0; pixel < row->pixels; pixel++) {
    run(taps, weights, parameters, tap_count, row, row->output + pixel * row->output_step);
    for (int32_t tap = 0; tap < tap_count && pixel + 1 < row->pixels; tap++) {
      taps[tap] += taps[tap] == row->padding ? 0 : row->tap_steps[0];
    }
  }
}

void ek_mve_depthwise_3x3(const ek_mve_segment *segments, const int8_t *weights,
                          const int32_t *parameters, const ek_mve_depthwise_row *row) {
  int8_t *output = row->output;
  for (int32_t number = 0; number < row->pixels; number++) {
    for (int32_t pixel = 0; pixel < segments[number].pixels; pixel++) {
      const int8_t *taps[NINE];
      for (int32_t tap = 0; tap < NINE; tap++) {
        taps[tap] = segments[number].taps[tap] + pixel * row->tap_steps[tap / 3];
      }
      run(taps, weights, parameters, NINE, row, output);
      output += row->output_step;
    }
  }
}

#endif
