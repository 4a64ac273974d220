/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_channel_finish.h"
#include "ek_tap_sums.h"

#include "ek_tap_depthwise_s8.h"
#include <stddef.h>

/* The taps of a pixel: those inside the map are [inside, padding), those in the padding
 * [padding, end). */
typedef struct {
  ek_tap *inside;
  ek_tap *padding;
  ek_tap *end;
} tap_list;

static tap_list taps_of(const ek_tap_depthwise_s8 *layer, const void *const *rows, int32_t column,
                        int32_t row_channels, ek_tap *storage) {
  const int32_t first = column * layer->stride_width - layer->pad_left;
  tap_list list = {storage, storage, storage + layer->kernel_height * layer->kernel_width};
  ek_tap *last = list.end;
  int32_t weight = 0;
  for (int32_t ky = 0; ky < layer->kernel_height; ky++) {
    int32_t x = first;
    for (int32_t kx = 0; kx < layer->kernel_width; kx++, x += layer->dilation_width) {
      const int32_t is_inside = rows[ky] != NULL && x >= 0 && x < layer->input_width;
      const ek_tap tap = {ky, x * row_channels, weight};
      *(is_inside ? list.padding++ : --last) = tap;
      weight += layer->channels;
    }
  }
  return list;
}

/* One channel of fewer than 4. */
static int32_t sum_of_one(const ek_tap_depthwise_s8 *layer, const tap_list *taps,
                          const void *const *rows, int32_t channel, const int8_t *weights) {
  int32_t sum = 0;
  for (const ek_tap *tap = taps->inside; tap != taps->padding; tap++) {
    sum += ((const int8_t *)rows[tap->row])[tap->byte + channel] * weights[tap->weight];
  }
  for (const ek_tap *tap = taps->padding; tap != taps->end; tap++) {
    sum += layer->input_zero_point * weights[tap->weight];
  }
  return sum;
}

/* Channels of a block of at least 4. */
static void compute_pixel(const ek_tap_depthwise_s8 *layer, const tap_list *taps,
                          const void *const *rows, const ek_region *region, int8_t *output) {
  const ek_channel_finish finish = {layer->finish, layer->raise, layer->lower};
  const int32_t block = region->channel_end - region->channel_begin;
  for (int32_t c = 0; c < block; c += 4) {
    const int32_t first = c + 4 <= block ? c : block - 4; /* the last ones again at the end */
    const int8_t *weights = layer->weights + region->channel_begin + first;
    const int32_t *parameters =
        layer->parameters + (region->channel_begin + first) * EK_CHANNEL_PARAMETERS;
    int32_t sums[4] = {parameters[0], parameters[EK_CHANNEL_PARAMETERS],
                       parameters[2 * EK_CHANNEL_PARAMETERS],
                       parameters[3 * EK_CHANNEL_PARAMETERS]};
    ek_tap_add(taps->inside, taps->padding, rows, first, weights, sums);
    if (taps->padding != taps->end) {
      ek_tap_add_padding(taps->padding, taps->end, layer->input_zero_point, weights, sums);
    }
    for (int32_t i = 0; i < 4; i++) {
      output[first + i] = ek_finish_channel(&finish, parameters, sums[i]);
      parameters += EK_CHANNEL_PARAMETERS;
    }
  }
}

void ek_tap_depthwise_s8__c(const void *layer_, const void *const *rows, void *output,
                            const ek_region *region, void *scratch) {
  const ek_tap_depthwise_s8 *layer = (const ek_tap_depthwise_s8 *)layer_;
  const ek_channel_finish finish = {layer->finish, layer->raise, layer->lower};
  const int32_t block = region->channel_end - region->channel_begin;
  int8_t *out = (int8_t *)output + region->column_begin * layer->channels + region->channel_begin;
  for (int32_t x = region->column_begin; x < region->column_end; x++, out += layer->channels) {
    const tap_list taps = taps_of(layer, rows, x, block, (ek_tap *)scratch);
    if (block >= 4) {
      compute_pixel(layer, &taps, rows, region, out);
      continue;
    }
    for (int32_t c = 0; c < block; c++) {
      const int32_t channel = region->channel_begin + c;
      const int32_t *parameters = layer->parameters + channel * EK_CHANNEL_PARAMETERS;
      const int32_t sum = sum_of_one(layer, &taps, rows, c, layer->weights + channel);
      out[c] = ek_finish_channel(&finish, parameters, parameters[0] + sum);
    }
  }
}
