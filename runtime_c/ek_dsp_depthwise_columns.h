/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise 3x3 on row-planar rows, column by column: what the fast loops leave over. */
#ifndef EK_DSP_DEPTHWISE_COLUMNS_H
#define EK_DSP_DEPTHWISE_COLUMNS_H

#include "ek_depthwise_conv2d_s8_row_planar.h"

/* As the kernels of ek_depthwise_conv2d_s8_row_planar.h, any finish; stride 1 or 2. */
void ek_dsp_depthwise_columns(const ek_depthwise_conv2d_s8_row_planar *layer,
                              const void *const *rows, int8_t *output, const ek_region *region,
                              int32_t stride);

#endif
