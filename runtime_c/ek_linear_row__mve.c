/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_linear_row.h"

#if defined(__ARM_FEATURE_MVE)

#include <arm_mve.h>

/* Tail-predicated loops, which GCC 12 does not form, of 13 and 17 instructions for 4 elements.
 * VQDMULH of a byte shifted up by 23 is the whole part of its product with a weight over 2^8. */
#define SUM                                                                                        \
  "wlstp.32 lr, %[count], 2f\n"                                                                    \
  "1:\n"                                                                                           \
  "vldrb.s32 q0, [%[first]], #4\n"                                                                 \
  "vldrb.s32 q1, [%[second]], #4\n"                                                                \
  "vshl.i32 q0, q0, #23\n"                                                                         \
  "vshl.i32 q1, q1, #23\n"                                                                         \
  "vqdmulh.s32 q0, q0, %[first_weight]\n"                                                          \
  "vqdmulh.s32 q1, q1, %[second_weight]\n"                                                         \
  "vadd.i32 q0, q0, q1\n"                                                                          \
  "vadd.i32 q0, q0, %[offset]\n"
#define CLAMP                                                                                      \
  "vshr.s32 q0, q0, #20\n"                                                                         \
  "vmax.s32 q0, q0, %q[minimum]\n"                                                                 \
  "vmin.s32 q0, q0, %q[maximum]\n"
#define STORE                                                                                      \
  "vstrb.32 q0, [%[output]], #4\n"                                                                 \
  "letp lr, 1b\n"                                                                                  \
  "2:\n"

static void run_plain(ek_linear_weights weights, const int8_t *first, const int8_t *second,
                      int8_t *output, int32_t count) {
  __asm__ volatile(SUM CLAMP STORE
                   : [first] "+l"(first), [second] "+l"(second), [output] "+l"(output)
                   : [count] "r"(count), [first_weight] "r"(weights.first),
                     [second_weight] "r"(weights.second), [offset] "r"(weights.offset),
                     [minimum] "w"(vdupq_n_s32(-128)), [maximum] "w"(vdupq_n_s32(127))
                   : "q0", "q1", "lr", "memory");
}

/* One is subtracted from negative sums. A saturating raise is a lower maximum in front of it. */
static void run_nudged(const ek_linear_sum_s8 *layer, ek_linear_weights weights,
                       const int8_t *first, const int8_t *second, int8_t *output, int32_t count) {
  __asm__ volatile(
      SUM "vshr.s32 q1, q0, #31\n"
          "vadd.i32 q0, q0, q1\n"
          "vadd.i32 q0, q0, %q[output_offset]\n" CLAMP "vadd.i32 q0, q0, %q[moved]\n" STORE
      : [first] "+l"(first), [second] "+l"(second), [output] "+l"(output)
      : [count] "r"(count), [first_weight] "r"(weights.first), [second_weight] "r"(weights.second),
        [offset] "r"(weights.offset), [minimum] "w"(vdupq_n_s32(-128)),
        [maximum] "w"(vdupq_n_s32(127 - layer->raise)),
        [output_offset] "w"(vdupq_n_s32(layer->output_offset)),
        [moved] "w"(vdupq_n_s32(layer->raise - layer->lower))
      : "q0", "q1", "lr", "memory");
}

void ek_linear_row(const ek_linear_sum_s8 *layer, ek_linear_weights weights, const int8_t *first,
                   const int8_t *second, int8_t *output, int32_t count) {
  if (layer->finish == EK_LINEAR_PLAIN) {
    run_plain(weights, first, second, output, count);
  } else {
    run_nudged(layer, weights, first, second, output, count);
  }
}

#endif
