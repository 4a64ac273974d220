/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_mve_dot.h"

#if defined(__ARM_FEATURE_MVE)

/* Registers: even ones up to r10 sums (VMLADAVA takes no others), r1, r3, r5 pixels, r7 weights,
 * r9 weight_step, r11 parameters, r12 depth; q0 inputs, q1 and q2 weights, q3 minimum, q4 maximum,
 * q5 to q7 sums of the pixels. The tile lies behind the saved registers. */
/* One line per line of assembly, which clang-format does not know. */
/* clang-format off */
#define SLOT_PIXELS "[sp, #100]"
#define SLOT_PIXEL_2 "[sp, #108]"
#define SLOT_OUTPUTS "[sp, #112]"
#define SLOT_OUTPUT_2 "[sp, #120]"
#define SLOT_ZERO_POINT "[sp, #124]" /* and the channels */
#define SLOT_CHANNELS "[sp, #128]"
#define SLOT_CLAMP "[sp, #132]"
#define SLOT_GENERAL "[sp, #140]"

#define MAC(x, low, high)                                                                          \
  "vldrb.u8 q0, [" x "], #16\n"                                                                    \
  "vmladava.s8 " low ", q0, q1\n"                                                                  \
  "vmladava.s8 " high ", q0, q2\n"

#define MACS_2 MAC("r1", "r0", "r2") MAC("r3", "r4", "r6")
#define MACS_3 MACS_2 MAC("r5", "r8", "r10")

#define LOAD_PIXELS_2 "ldrd r1, r3, " SLOT_PIXELS "\n"
#define LOAD_PIXELS_3 LOAD_PIXELS_2 "ldr r5, " SLOT_PIXEL_2 "\n"
#define SPREAD_2 "mov r4, r0\nmov r6, r2\n"
#define SPREAD_3 SPREAD_2 "mov r8, r0\nmov r10, r2\n"
#define KEEP_2(a, b)                                                                               \
  "vmov q5[" a "], q5[" b "], r0, r2\n"                                                            \
  "vmov q6[" a "], q6[" b "], r4, r6\n"
#define KEEP_3(a, b) KEEP_2(a, b) "vmov q7[" a "], q7[" b "], r8, r10\n"

/* Sums of two channels (0 and 2, or 1 and 3) of P pixels, into lanes a and b. */
#define PAIR(P, a, b)                                                                              \
  "ldrd r0, r2, [r11], #8\n"                                                                       \
  LOAD_PIXELS_##P                                                                                  \
  SPREAD_##P                                                                                       \
  "dlstp.8 lr, r12\n"                                                                              \
  "2:\n"                                                                                           \
  "vldrb.u8 q1, [r7], #64\n"                                                                       \
  "vldrb.u8 q2, [r7, #-32]\n"                                                                      \
  MACS_##P                                                                                         \
  "letp lr, 2b\n"                                                                                  \
  KEEP_##P(a, b)

#define SUMS_2 PAIR(2, "2", "0") "sub r7, r7, r9\n" PAIR(2, "3", "1") "sub r7, r7, #16\n"
#define SUMS_3 PAIR(3, "2", "0") "sub r7, r7, r9\n" PAIR(3, "3", "1") "sub r7, r7, #16\n"

/* One pixel has registers for 4 channels at once. */
#define SUMS_1                                                                                     \
  "ldrd r0, r4, [r11], #8\n"                                                                       \
  "ldrd r2, r6, [r11], #8\n"                                                                       \
  "ldr r1, " SLOT_PIXELS "\n"                                                                      \
  "dlstp.8 lr, r12\n"                                                                              \
  "2:\n"                                                                                           \
  "vldrb.u8 q0, [r1], #16\n"                                                                       \
  "vldrb.u8 q1, [r7], #64\n"                                                                       \
  "vmladava.s8 r0, q0, q1\n"                                                                       \
  "vldrb.u8 q2, [r7, #-48]\n"                                                                      \
  "vmladava.s8 r2, q0, q2\n"                                                                       \
  "vldrb.u8 q1, [r7, #-32]\n"                                                                      \
  "vmladava.s8 r4, q0, q1\n"                                                                       \
  "vldrb.u8 q2, [r7, #-16]\n"                                                                      \
  "vmladava.s8 r6, q0, q2\n"                                                                       \
  "letp lr, 2b\n"                                                                                  \
  "vmov q5[2], q5[0], r0, r4\n"                                                                    \
  "vmov q5[3], q5[1], r2, r6\n"

/* One step for the sums of every pixel of a tile. */
#define SUMS_OF_1(step) step("q5")
#define SUMS_OF_2(step) SUMS_OF_1(step) step("q6")
#define SUMS_OF_3(step) SUMS_OF_2(step) step("q7")

/* q0 multipliers, q1 shifts to the right, q2 shifts to the left, then free. */
#define SHIFT_LEFT(q) "vshl.s32 " q ", " q ", q2\n"
#define SCALE(q)                                                                                   \
  "vshr.s32 q2, " q ", #31\n"                                                                      \
  "vqrdmulh.s32 " q ", " q ", q0\n"                                                                \
  "vadd.i32 " q ", " q ", q2\n"
#define SCALE_GENERAL(q)                                                                           \
  "vand q2, " q ", q1\n"                                                                           \
  "vshr.s32 q2, q2, #31\n"                                                                         \
  "vqrdmulh.s32 " q ", " q ", q0\n"                                                                \
  "vadd.i32 " q ", " q ", q2\n"
#define SHIFT_RIGHT(q) "vrshl.s32 " q ", " q ", q1\n"
#define AT_LEAST(q) "vmax.s32 " q ", " q ", q3\n"
#define AT_MOST(q) "vmin.s32 " q ", " q ", q4\n"
#define ADD_ZERO_POINT(q) "vadd.i32 " q ", " q ", r4\n"

#define STORE_1                                                                                    \
  "vpst\n"                                                                                         \
  "vstrbt.32 q5, [r1], #4\n"                                                                       \
  "str r1, " SLOT_OUTPUTS "\n"
#define STORE_2                                                                                    \
  "vpstt\n"                                                                                        \
  "vstrbt.32 q5, [r1], #4\n"                                                                       \
  "vstrbt.32 q6, [r3], #4\n"                                                                       \
  "strd r1, r3, " SLOT_OUTPUTS "\n"
#define STORE_3                                                                                    \
  "vpsttt\n"                                                                                       \
  "vstrbt.32 q5, [r1], #4\n"                                                                       \
  "vstrbt.32 q6, [r3], #4\n"                                                                       \
  "vstrbt.32 q7, [r5], #4\n"                                                                       \
  "strd r1, r3, " SLOT_OUTPUTS "\n"                                                                \
  "str r5, " SLOT_OUTPUT_2 "\n"
#define LOAD_OUTPUTS_1 "ldr r1, " SLOT_OUTPUTS "\n"
#define LOAD_OUTPUTS_2 "ldrd r1, r3, " SLOT_OUTPUTS "\n"
#define LOAD_OUTPUTS_3 LOAD_OUTPUTS_2 "ldr r5, " SLOT_OUTPUT_2 "\n"

#define FINISH(P)                                                                                  \
  "ldr r0, " SLOT_GENERAL "\n"                                                                     \
  "vldrw.u32 q0, [r11], #16\n"                                                                     \
  "vldrw.u32 q1, [r11], #16\n"                                                                     \
  "cbz r0, 3f\n"                                                                                   \
  "vldrw.u32 q2, [r11], #16\n"                                                                     \
  SUMS_OF_##P(SHIFT_LEFT)                                                                          \
  SUMS_OF_##P(SCALE_GENERAL)                                                                       \
  "b 4f\n"                                                                                         \
  "3:\n"                                                                                           \
  SUMS_OF_##P(SCALE)                                                                               \
  "4:\n"                                                                                           \
  "ldrd r4, r0, " SLOT_ZERO_POINT "\n"                                                             \
  LOAD_OUTPUTS_##P                                                                                 \
  SUMS_OF_##P(SHIFT_RIGHT)                                                                         \
  SUMS_OF_##P(AT_LEAST)                                                                            \
  SUMS_OF_##P(AT_MOST)                                                                             \
  SUMS_OF_##P(ADD_ZERO_POINT)                                                                      \
  "vctp.32 r0\n"                                                                                   \
  STORE_##P                                                                                        \
  "subs r0, r0, #4\n"                                                                              \
  "str r0, " SLOT_CHANNELS "\n"                                                                    \
  "bgt.w 1b\n"                                                                                     \
  "vpop {d8-d15}\n"                                                                                \
  "pop {r4-r11, pc}\n"

#define FUNCTION_BEGIN(P)                                                                          \
  ".pushsection .text.ek_mve_dot_" #P ", \"ax\", %progbits\n"                                      \
  ".syntax unified\n.thumb\n.balign 4\n"                                                           \
  ".global ek_mve_dot_" #P "\n"                                                                    \
  ".type ek_mve_dot_" #P ", %function\n"                                                           \
  ".thumb_func\n"                                                                                  \
  "ek_mve_dot_" #P ":\n"                                                                           \
  "push {r4-r11, lr}\n"                                                                            \
  "vpush {d8-d15}\n"                                                                               \
  "mov r7, r0\n"                                                                                   \
  "mov r11, r1\n"                                                                                  \
  "mov r12, r2\n"                                                                                  \
  "mov r9, r3\n"                                                                        \
  "ldrd r0, r2, " SLOT_CLAMP "\n"                                                                  \
  "vdup.32 q3, r0\n"                                                                               \
  "vdup.32 q4, r2\n"                                                                               \
  "1:\n"
#define FUNCTION_END(P) ".size ek_mve_dot_" #P ", . - ek_mve_dot_" #P "\n.popsection\n"

__asm__(FUNCTION_BEGIN(1) SUMS_1 FINISH(1) FUNCTION_END(1));
__asm__(FUNCTION_BEGIN(2) SUMS_2 FINISH(2) FUNCTION_END(2));
__asm__(FUNCTION_BEGIN(3) SUMS_3 FINISH(3) FUNCTION_END(3));

/* clang-format on */

#endif
