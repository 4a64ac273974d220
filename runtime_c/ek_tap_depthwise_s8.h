/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution of int8 NHWC rows in portable C, four channels at a time. */
#ifndef EK_TAP_DEPTHWISE_S8_H
#define EK_TAP_DEPTHWISE_S8_H

#include "ek_kernel.h"

/* parameters: of every channel, and the finish, of ek_channel_finish.h. */
typedef struct {
  const int8_t *weights; /* [kernel_height][kernel_width][channels] */
  const int32_t *parameters;
  int32_t finish;
  int32_t raise;
  int32_t lower;
  int32_t channels;
  int32_t input_width;
  int32_t input_zero_point;
  int32_t kernel_height;
  int32_t kernel_width;
  int32_t stride_width;
  int32_t dilation_width;
  int32_t pad_left;
} ek_tap_depthwise_s8;

/* rows: kernel_height pointers to [input_width][channels of the block], NULL for padding.
 * output: [output width][channels], of which those of the block are written.
 * scratch: 12 bytes per tap. */
void ek_tap_depthwise_s8__c(const void *layer, const void *const *rows, void *output,
                            const ek_region *region, void *scratch);

#endif
