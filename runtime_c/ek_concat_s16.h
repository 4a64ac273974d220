/* SPDX-License-Identifier: Apache-2.0 */
/* int16 tensors side by side along one axis, each rescaled. */
#ifndef EK_CONCAT_S16_H
#define EK_CONCAT_S16_H

#include "ek_kernel.h"

/* Input i lies in the output from column_offsets[i] and channel_offsets[i] on:
 * output = clamp(scale(x)) */
typedef struct {
  int32_t input_count;
  int32_t output_channels;
  const int32_t *widths; /* [input_count], and so on */
  const int32_t *channels;
  const int32_t *column_offsets;
  const int32_t *channel_offsets;
  const int32_t *multipliers; /* in [0, 2^31) */
  const int32_t *shifts;      /* -31 to 30, > 0 is to the left */
} ek_concat_s16;

/* Side by side along columns or channels. rows: input_count pointers, to [widths[i]][channels[i]];
 * one may come twice. output: [output width][output_channels]. No scratch. */
void ek_concat_s16__ref_rows(const void *layer, const void *const *rows, void *output,
                             const ek_region *region, void *scratch);

/* One below the other along rows: all elements of a tensor are columns of one channel.
 * inputs: input_count pointers, to [widths[i]]; one may come twice. output: [sum of widths]. No
 * scratch. */
void ek_concat_s16__ref(const void *layer, const void *const *inputs, void *output, void *scratch);

#endif
