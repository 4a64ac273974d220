/* SPDX-License-Identifier: Apache-2.0 */
/* int8 tensors of one scale side by side along one axis. */
#ifndef EK_CONCAT_S8_COPY_H
#define EK_CONCAT_S8_COPY_H

#include "ek_kernel.h"

/* In every turn, each input in order gives its next block_bytes[i] bytes. */
typedef struct {
  int32_t input_count;
  int32_t turns;
  const int32_t *block_bytes; /* [input_count] */
} ek_concat_s8_copy;

/* inputs: input_count pointers, to [turns][block_bytes[i]]; one tensor may come twice.
 * output: [turns][sum of block_bytes]. No scratch. */
void ek_concat_s8_copy__ref(const void *layer, const void *const *inputs, void *output,
                            void *scratch);

#endif
