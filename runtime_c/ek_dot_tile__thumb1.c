/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dot_tile.h"

#if defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB == 1

/* One line per line of assembly, which clang-format does not know. */
/* clang-format off */

#define BEGIN(name)                                                                                \
  ".pushsection .text." name ", \"ax\", %progbits\n"                                               \
  ".syntax unified\n.thumb\n.balign 4\n"                                                           \
  ".global " name "\n"                                                                             \
  ".type " name ", %function\n"                                                                    \
  ".thumb_func\n" name ":\n"                                                                       \
  "push {r4-r7, lr}\n"                                                                             \
  "mov r4, r8\nmov r5, r9\nmov r6, r10\nmov r7, r11\n"                                             \
  "push {r1, r4-r7}\n"                                                                             \
  "ldm r1!, {r2-r5}\n"                                                                             \
  "mov r8, r2\nmov r9, r3\nmov r10, r4\nmov r11, r5\n"
#define END(name)                                                                                  \
  "pop {r0, r4-r7}\n"                                                                              \
  "mov r1, r8\nmov r2, r9\nmov r3, r10\n"                                                          \
  "stm r0!, {r1-r3}\n"                                                                             \
  "mov r1, r11\n"                                                                                  \
  "str r1, [r0]\n"                                                                                 \
  "mov r8, r4\nmov r9, r5\nmov r10, r6\nmov r11, r7\n"                                             \
  "pop {r4-r7, pc}\n"                                                                              \
  ".size " name ", . - " name "\n"                                                                 \
  ".popsection\n"

/* Sums in r8 to r11, which ADD reaches; all rows from their ends, r4 counts up to 0. */
__asm__(BEGIN("ek_dot_2x2")
        "ldr r4, [r0, #24]\n"
        "ldr r1, [r0, #4]\n"
        "ldr r2, [r0, #8]\n"
        "ldr r3, [r0, #12]\n"
        "ldr r0, [r0]\n"
        "adds r0, r0, r4\nadds r1, r1, r4\nadds r2, r2, r4\nadds r3, r3, r4\n"
        "rsbs r4, r4, #0\n"
        "1:\n"
        "ldrsb r5, [r0, r4]\n"
        "ldrsb r6, [r2, r4]\n"
        "movs r7, r5\n"
        "muls r7, r6\n"
        "add r8, r7\n"
        "ldrsb r7, [r3, r4]\n"
        "muls r5, r7\n"
        "add r9, r5\n"
        "ldrsb r5, [r1, r4]\n"
        "muls r6, r5\n"
        "add r10, r6\n"
        "muls r7, r5\n"
        "add r11, r7\n"
        "adds r4, #1\n"
        "bne 1b\n"
        END("ek_dot_2x2"));

__asm__(BEGIN("ek_dot_1x4")
        "ldr r5, [r0, #24]\n"
        "ldr r1, [r0, #8]\n"
        "ldr r2, [r0, #12]\n"
        "ldr r3, [r0, #16]\n"
        "ldr r4, [r0, #20]\n"
        "ldr r0, [r0]\n"
        "adds r0, r0, r5\nadds r1, r1, r5\nadds r2, r2, r5\nadds r3, r3, r5\nadds r4, r4, r5\n"
        "rsbs r5, r5, #0\n"
        "1:\n"
        "ldrsb r6, [r0, r5]\n"
        "ldrsb r7, [r1, r5]\n"
        "muls r7, r6\n"
        "add r8, r7\n"
        "ldrsb r7, [r2, r5]\n"
        "muls r7, r6\n"
        "add r9, r7\n"
        "ldrsb r7, [r3, r5]\n"
        "muls r7, r6\n"
        "add r10, r7\n"
        "ldrsb r7, [r4, r5]\n"
        "muls r7, r6\n"
        "add r11, r7\n"
        "adds r5, #1\n"
        "bne 1b\n"
        END("ek_dot_1x4"));

/* clang-format on */

#endif
