/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_product_row.h"

#if defined(__ARM_FEATURE_MVE)

#include <arm_mve.h>

/* A tail-predicated loop, which GCC 12 does not form, of 15 instructions for 4 elements. A
 * saturating raise is a lower maximum in front of it. */
void ek_product_row(const ek_product_s8 *layer, const int8_t *first, const int8_t *second,
                    int8_t *output, int32_t count) {
  /* Shifts of -32 and 32 give the sign and nothing. */
  const int32_t nudge = layer->finish == EK_DSP_AT_ZERO_POINT ? 32 : -32;
  const int32_t is_clamped = layer->finish == EK_DSP_CLAMPED;
  const int32_t raise = is_clamped ? layer->raise : 0;
  const int32_t lower = is_clamped ? layer->lower : 0;
  __asm__ volatile(
      "wlstp.32 lr, %[count], 2f\n"
      "1:\n"
      "vldrb.s32 q0, [%[first]], #4\n"
      "vldrb.s32 q1, [%[second]], #4\n"
      "vsub.i32 q0, q0, %q[first_zero_point]\n"
      "vsub.i32 q1, q1, %q[second_zero_point]\n"
      "vmul.i32 q0, q0, q1\n"
      "vshl.s32 q1, q0, %q[nudge]\n"
      "vqrdmulh.s32 q0, q0, %[multiplier]\n"
      "vadd.i32 q0, q0, q1\n"
      "vadd.i32 q0, q0, %[offset]\n"
      "vshl.s32 q0, %[exponent]\n"
      "vmax.s32 q0, q0, %q[minimum]\n"
      "vmin.s32 q0, q0, %q[maximum]\n"
      "vadd.i32 q0, q0, %[moved]\n"
      "vstrb.32 q0, [%[output]], #4\n"
      "letp lr, 1b\n"
      "2:\n"
      : [first] "+l"(first), [second] "+l"(second), [output] "+l"(output)
      : [count] "r"(count), [multiplier] "r"(layer->multiplier), [offset] "r"(layer->offset),
        [exponent] "r"(-layer->exponent), [moved] "r"(raise - lower),
        [first_zero_point] "w"(vdupq_n_s32(layer->first_zero_point)),
        [second_zero_point] "w"(vdupq_n_s32(layer->second_zero_point)),
        [nudge] "w"(vdupq_n_s32(nudge)), [minimum] "w"(vdupq_n_s32(-128)),
        [maximum] "w"(vdupq_n_s32(127 - raise))
      : "q0", "q1", "lr", "memory");
}

#endif
