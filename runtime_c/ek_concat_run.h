/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernels of ek_concat_s8_table.h do with consecutive elements of one input. */
#ifndef EK_CONCAT_RUN_H
#define EK_CONCAT_RUN_H

#include "ek_concat_s8_table.h"
#include "ek_lookup_row.h"

#include <string.h>

static inline void ek_concat_run(const ek_concat_s8_table *layer, int32_t input, const int8_t *in,
                                 int8_t *output, int32_t count) {
  if (layer->table_of[input] < 0) {
    memcpy(output, in, (size_t)count);
  } else {
    ek_lookup_row(layer->tables + layer->table_of[input] * 256, in, output, count);
  }
}

#endif
