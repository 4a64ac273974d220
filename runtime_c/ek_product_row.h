/* SPDX-License-Identifier: Apache-2.0 */
/* The inner loop of ek_product_s8__c: __mve where there are Helium instructions, __arm where there
 * are DSP ones, __portable elsewhere; all compute the same. */
#ifndef EK_PRODUCT_ROW_H
#define EK_PRODUCT_ROW_H

#include "ek_product_s8.h"

#include "ek_dsp_requantize.h"

/* The finish of one product. */
static inline int8_t ek_product_finished(const ek_product_s8 *layer, int32_t product) {
  const int32_t channel[3] = {layer->multiplier, layer->offset, layer->exponent};
  const int32_t clamp[2] = {layer->raise, layer->lower};
  const int32_t high = ek_doubling_high_multiply(product, layer->multiplier);
  return ek_dsp_finish(high, product < 0, channel, clamp, layer->finish);
}

/* output[0..count) of as many elements of first and second; it may be one of them. */
void ek_product_row(const ek_product_s8 *layer, const int8_t *first, const int8_t *second,
                    int8_t *output, int32_t count);

#endif
