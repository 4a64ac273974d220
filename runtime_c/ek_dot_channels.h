/* SPDX-License-Identifier: Apache-2.0 */
/* Output channels of one or two pixels as dot products with fast finishes, for the tuned
 * convolutions and fully connected layers. */
#ifndef EK_DOT_CHANNELS_H
#define EK_DOT_CHANNELS_H

#include "ek_channel_finish.h"

#include <stddef.h>

typedef struct {
  const int8_t *weights;     /* [channels][taps] */
  const int32_t *parameters; /* [channels][EK_CHANNEL_PARAMETERS] */
  int32_t taps;
  ek_channel_finish finish;
} ek_dot_channels;

/* Channels [begin, end) of one pixel, whose taps are input, side by side at output. */
void ek_dot_pixel(const ek_dot_channels *channels, const int8_t *input, int32_t begin, int32_t end,
                  int8_t *output);

/* The same of two pixels; the outputs of the second one are at output + output_step. */
void ek_dot_pixels(const ek_dot_channels *channels, const int8_t *first, const int8_t *second,
                   int32_t begin, int32_t end, int8_t *output, int32_t output_step);

#endif
