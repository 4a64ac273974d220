/* SPDX-License-Identifier: Apache-2.0 */
/* The channels of int8 NHWC pixels in reverse order. */
#ifndef EK_REVERSE_CHANNELS_S8_H
#define EK_REVERSE_CHANNELS_S8_H

#include "ek_kernel.h"

typedef struct {
  int32_t channels;
} ek_reverse_channels_s8;

/* rows: one pointer to [region->column_end][channels]. output: the same shape. No scratch.
 * __ref reads a pixel while it writes it; __dsp_rgb, for three channels, reads it first. */
void ek_reverse_channels_s8__ref(const void *layer, const void *const *rows, void *output,
                                 const ek_region *region, void *scratch);
void ek_reverse_channels_s8__dsp_rgb(const void *layer, const void *const *rows, void *output,
                                     const ek_region *region, void *scratch);

#endif
