/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_depthwise_conv2d_s8_row_planar.h"
#include "ek_dsp_depthwise_wide_row.h"

void ek_depthwise_conv2d_s8_row_planar__dsp_7x7s2(const void *layer, const void *const *rows,
                                                  void *output, const ek_region *region,
                                                  void *scratch) {
  (void)scratch;
  ek_dsp_depthwise_wide_run((const ek_depthwise_conv2d_s8_row_planar *)layer, rows,
                            (int8_t *)output, region, 7, 2, ek_dsp_depthwise_7x7s2);
}
