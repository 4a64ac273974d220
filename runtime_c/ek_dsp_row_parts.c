/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dsp_row_parts.h"
#include "ek_dsp_part_sums.h"

#include <string.h>

enum { GROUP_BYTES = 4 };

void ek_dsp_row_part(const ek_fully_connected_s8_parts *layer, const int8_t *x, int32_t part,
                     void *output, void *scratch) {
  const ek_dsp_part_block block = {0, layer->sums.pairs, 1};
  int32_t *sums = (int32_t *)scratch;
  int16_t *lanes = (int16_t *)(void *)(sums + 2 * layer->sums.pairs);
  int8_t group[GROUP_BYTES] = {0, 0, 0, 0};
  if (layer->part_bytes < GROUP_BYTES) { /* nothing behind the part is read */
    memcpy(group, x, (size_t)layer->part_bytes);
    x = group;
  }
  ek_dsp_expand_few(&x, &x + 1, lanes, &layer->windows, 1);
  ek_dsp_add_part(&layer->sums, part, block, lanes, sums);
  if (part == layer->parts - 1) {
    ek_dsp_finish_parts(&layer->sums, block, sums, layer->output_channels, (int8_t *)output, 0);
  }
}
