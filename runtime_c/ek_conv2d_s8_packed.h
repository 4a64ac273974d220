/* SPDX-License-Identifier: Apache-2.0 */
/* 2-D convolution of int8 NHWC rows with weights packed for the DSP instructions, any geometry. */
#ifndef EK_CONV2D_S8_PACKED_H
#define EK_CONV2D_S8_PACKED_H

#include "ek_dsp_geometry.h"
#include "ek_dsp_pairs.h"
#include "ek_kernel.h"

/* packed of pairs: channel group after channel group, each with whole pairs of its own. */
typedef struct {
  ek_dsp_pairs pairs;
  ek_dsp_geometry geometry;
  int32_t channel_groups;
  int32_t group_inputs; /* channels, as the next */
  int32_t group_outputs;
} ek_conv2d_s8_packed;

/* rows: kernel_height pointers to [row_bytes], NULL for padding.
 * output: as in ek_pointwise_s8.h; a block of channels only where channel_groups is 1.
 * scratch: 32 bytes per group of 4 taps; EK_DSP_GENERAL: 32 bytes more; then that of the geometry.
 * Needs unaligned word loads (CCR.UNALIGN_TRP = 0, as after reset). */
void ek_conv2d_s8_packed__dsp_4x2(const void *layer, const void *const *rows, void *output,
                                  const ek_region *region, void *scratch);

#endif
