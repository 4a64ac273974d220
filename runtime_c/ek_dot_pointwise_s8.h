/* SPDX-License-Identifier: Apache-2.0 */
/* 1x1 convolution of int8 NHWC rows in portable C: two pixels by two channels at a time. */
#ifndef EK_DOT_POINTWISE_S8_H
#define EK_DOT_POINTWISE_S8_H

#include "ek_kernel.h"

/* weights to lower: as in ek_dot_channels.h, the taps being the input channels. */
typedef struct {
  const int8_t *weights;
  const int32_t *parameters;
  int32_t finish;
  int32_t raise;
  int32_t lower;
  int32_t input_channels;
  int32_t stride_width;
} ek_dot_pointwise_s8;

/* rows: one pointer to [input width][input_channels]. output: [output width][channels of the
 * block]. No scratch. Reads two pixels until it has written both. */
void ek_dot_pointwise_s8__c(const void *layer, const void *const *rows, void *output,
                            const ek_region *region, void *scratch);

#endif
