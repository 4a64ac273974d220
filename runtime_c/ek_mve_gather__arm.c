/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_mve_gather.h"

#if defined(__ARM_FEATURE_MVE)

/* r0 to, r1 rows, r2 rows left, r3 offset, r4 bytes, r5 to_step, r6 zero point, r7 source, r8
 * destination; q1 zero points. */
/* One line per line of assembly, which clang-format does not know. */
/* clang-format off */
#define FUNCTION_BEGIN(name)                                                                       \
  ".pushsection .text." name ", \"ax\", %progbits\n"                                               \
  ".syntax unified\n.thumb\n.balign 4\n"                                                           \
  ".global " name "\n"                                                                             \
  ".type " name ", %function\n"                                                                    \
  ".thumb_func\n" name ":\n"                                                                       \
  "push {r4-r8, lr}\n"                                                                             \
  "ldm r0, {r0-r6}\n"                                                                              \
  "vdup.8 q1, r6\n"
#define FILL_ROW                                                                                   \
  "mov r8, r0\n"                                                                                   \
  "dlstp.8 lr, r4\n"                                                                               \
  "3:\n"                                                                                           \
  "vstrb.8 q1, [r8], #16\n"                                                                        \
  "letp lr, 3b\n"
#define FUNCTION_END(name)                                                                         \
  "pop {r4-r8, pc}\n"                                                                              \
  ".size " name ", . - " name "\n.popsection\n"

__asm__(FUNCTION_BEGIN("ek_mve_gather")
  "1:\n"
  "ldr r7, [r1], #4\n"
  "cbz r7, 5f\n"
  "mov r8, r0\n"
  "add r7, r7, r3\n"
  "dlstp.8 lr, r4\n"
  "2:\n"
  "vldrb.u8 q0, [r7], #16\n"
  "vstrb.8 q0, [r8], #16\n"
  "letp lr, 2b\n"
  "4:\n"
  "add r0, r0, r5\n"
  "subs r2, r2, #1\n"
  "bne 1b\n"
  "pop {r4-r8, pc}\n"
  "5:\n"
  FILL_ROW
  "b 4b\n"
  FUNCTION_END("ek_mve_gather"));

__asm__(FUNCTION_BEGIN("ek_mve_fill")
  "1:\n"
  FILL_ROW
  "add r0, r0, r5\n"
  "subs r2, r2, #1\n"
  "bne 1b\n"
  FUNCTION_END("ek_mve_fill"));

/* clang-format on */

#endif
