/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dsp_row_parts.h"

void ek_fully_connected_s8_parts__dsp_accumulating(const void *layer_, const void *const *rows,
                                                   void *output, const ek_region *region,
                                                   void *scratch) {
  const ek_fully_connected_s8_parts *layer = (const ek_fully_connected_s8_parts *)layer_;
  ek_dsp_row_part(layer, (const int8_t *)rows[0], region->row, output, scratch);
}
