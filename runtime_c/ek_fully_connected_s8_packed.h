/* SPDX-License-Identifier: Apache-2.0 */
/* Fully connected layer on int8 rows with weights packed for the DSP instructions. */
#ifndef EK_FULLY_CONNECTED_S8_PACKED_H
#define EK_FULLY_CONNECTED_S8_PACKED_H

#include "ek_dsp_pairs.h"
#include "ek_dsp_windows.h"
#include "ek_kernel.h"

/* A row of inputs is a pixel whose window is one segment; 4 or more inputs. */
typedef struct {
  ek_dsp_pairs pairs;
  ek_dsp_windows windows;
  int32_t rows;
  int32_t output_channels;
} ek_fully_connected_s8_packed;

/* inputs: one pointer, to [rows][windows.pixel_step]. output: [rows][output_channels].
 * scratch: per group of 4 inputs 8 bytes if rows is 1, else 32; EK_DSP_GENERAL: 32 bytes more.
 * Needs unaligned word loads (CCR.UNALIGN_TRP = 0, as after reset). */
void ek_fully_connected_s8_packed__dsp_4x2(const void *layer, const void *const *inputs,
                                           void *output, void *scratch);

#endif
