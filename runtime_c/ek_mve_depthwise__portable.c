/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_mve_depthwise.h"
#include "ek_requantize.h"

#if !defined(__ARM_FEATURE_MVE)

enum { LANES = 16, QUAD = 4, WORDS_PER_QUAD = 12 };

/* Which quad of the parameters has the channels that leave each remainder when divided by 4. */
static const int8_t quad_of[QUAD] = {0, 2, 1, 3};

static int8_t finish(const ek_mve_depthwise_row *row, const int32_t *parameters, int32_t lane,
                     int32_t sum) {
  const int32_t *own = parameters + quad_of[lane % QUAD] * WORDS_PER_QUAD + lane / QUAD;
  const int32_t scaled = ek_scale(sum + own[0], own[QUAD], own[2 * QUAD]);
  const int32_t zero_point = row->zero_point;
  return (int8_t)(ek_clamp(scaled, row->minimum - zero_point, row->maximum - zero_point) +
                  zero_point);
}

static void run(const int8_t *const *taps, const int8_t *weights, const int32_t *parameters,
                int32_t tap_count, const ek_mve_depthwise_row *row) {
  for (int32_t pixel = 0; pixel < row->pixels; pixel++) {
    int8_t *output = row->output + pixel * row->output_step;
    for (int32_t channel = 0; channel < row->channels; channel++) {
      const int32_t group = channel / LANES;
      const int32_t lane = channel % LANES;
      const int8_t *own = weights + group * tap_count * LANES + lane;
      int32_t sum = 0;
      for (int32_t tap = 0; tap < tap_count; tap++) {
        sum += taps[tap][pixel * row->tap_step + channel] * own[tap * LANES];
      }
      output[channel] = finish(row, parameters + group * QUAD * WORDS_PER_QUAD, lane, sum);
    }
  }
}

void ek_mve_depthwise(const int8_t **taps, const int8_t *weights, const int32_t *parameters,
                      int32_t quads, ek_mve_depthwise_row row) {
  run(taps, weights, parameters, 1 + QUAD * quads, &row);
}

void ek_mve_depthwise_9(const int8_t **taps, const int8_t *weights, const int32_t *parameters,
                        int32_t quads, ek_mve_depthwise_row row) {
  run(taps, weights, parameters, 1 + QUAD * quads, &row);
}

#endif
