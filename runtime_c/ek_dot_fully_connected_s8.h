/* SPDX-License-Identifier: Apache-2.0 */
/* Fully connected layer on int8 rows in portable C: four channels at a time. */
#ifndef EK_DOT_FULLY_CONNECTED_S8_H
#define EK_DOT_FULLY_CONNECTED_S8_H

#include "ek_kernel.h"

/* weights to lower: as in ek_dot_channels.h, the taps being the input channels. */
typedef struct {
  const int8_t *weights;
  const int32_t *parameters;
  int32_t finish;
  int32_t raise;
  int32_t lower;
  int32_t rows;
  int32_t input_channels;
  int32_t output_channels;
} ek_dot_fully_connected_s8;

/* inputs: one pointer, to [rows][input_channels]. output: [rows][output_channels]. No scratch. */
void ek_dot_fully_connected_s8__c(const void *layer, const void *const *inputs, void *output,
                                  void *scratch);

/* Accumulates (ek_kernel.h) over the parts of one row of inputs, as many as the layer has rows;
 * they divide input_channels. rows: one pointer, to [input_channels / rows]. output:
 * [output_channels]. scratch: int32_t [output_channels]. */
void ek_dot_fully_connected_s8__c_accumulating(const void *layer, const void *const *rows,
                                               void *output, const ek_region *region,
                                               void *scratch);

#endif
