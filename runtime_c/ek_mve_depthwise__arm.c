/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_mve_depthwise.h"

#if defined(__ARM_FEATURE_MVE)

/* q4 to q7 are the sums of channels 0, 4, 8, 12; 2, 6, 10, 14; 1, 5, 9, 13; 3, 7, 11, 15: so the
 * narrowing moves at the end bring the channels back in order. r11 output, r12 zero point.
 * The frame: */
/* One line per line of assembly, which clang-format does not know. */
/* clang-format off */
#define SLOT_MINIMUM "[sp]"
#define SLOT_MAXIMUM "[sp, #16]"
#define SLOT_TABLES "[sp, #32]"         /* weights and parameters */
#define SLOT_GROUPS "[sp, #40]"         /* whole groups of 16 channels */
#define SLOT_REST "[sp, #44]"           /* channels behind them */
#define SLOT_OUTPUT_ADVANCE "[sp, #48]" /* steps, less what the groups advance; then that of taps */
#define SLOT_ADVANCE_0 "[sp, #52]"
#define SLOT_ADVANCE_1 "[sp, #56]" /* and 2 */
#define SLOT_ADVANCE_2 "[sp, #60]"
#define SLOT_ADVANCES "[sp, #64]" /* 0: there is no rest, and nothing advances more */
#define SLOT_PADDING "[sp, #64]"
#define SLOT_SEGMENT "[sp, #68]" /* and the number of segments left */
#define SLOT_SEGMENTS_LEFT "[sp, #72]"
#define SLOT_PIXELS "[sp, #76]"
#define SLOT_LINEAR "[sp, #80]"

/* Loads of 16 channels of a tap, that advance its pointer or keep it; of the rest of the channels
 * both keep it. */
#define ADVANCE(tap) "vldrb.u8 q0, [" tap "], #16\n"
#define KEEP(tap) "vldrb.u8 q0, [" tap "]\n"
#define REST(tap) "vpst\nvldrbt.u8 q0, [" tap "]\n"
#define WEIGHTS(w) "vldrb.u8 q1, [" w "], #16\n"

#define FIRST_TAP(load, tap, w)                                                                    \
  load(tap)                                                                                        \
  WEIGHTS(w)                                                                                       \
  "vmullb.s8 q2, q0, q1\n"                                                                         \
  "vmullt.s8 q3, q0, q1\n"                                                                         \
  "vmovlb.s16 q4, q2\n"                                                                            \
  "vmovlt.s16 q5, q2\n"                                                                            \
  "vmovlb.s16 q6, q3\n"                                                                            \
  "vmovlt.s16 q7, q3\n"

/* The second tap is loaded twice, because there is no register for its second product. */
#define TWO_TAPS(load, keep, first, second, w)                                                     \
  load(first)                                                                                      \
  WEIGHTS(w)                                                                                       \
  "vmullb.s8 q2, q0, q1\n"                                                                         \
  "vmullt.s8 q3, q0, q1\n"                                                                         \
  keep(second)                                                                                     \
  WEIGHTS(w)                                                                                       \
  "vmullb.s8 q0, q0, q1\n"                                                                         \
  "vadd.i16 q2, q2, q0\n"                                                                          \
  load(second)                                                                                     \
  "vmullt.s8 q0, q0, q1\n"                                                                         \
  "vadd.i16 q3, q3, q0\n"                                                                          \
  "vmovlb.s16 q0, q2\n"                                                                            \
  "vmovlt.s16 q1, q2\n"                                                                            \
  "vadd.i32 q4, q4, q0\n"                                                                          \
  "vmovlb.s16 q2, q3\n"                                                                            \
  "vadd.i32 q5, q5, q1\n"                                                                          \
  "vmovlt.s16 q3, q3\n"                                                                            \
  "vadd.i32 q6, q6, q2\n"                                                                          \
  "vadd.i32 q7, q7, q3\n"

#define SCALE(sum, p)                                                                              \
  "vldrw.u32 q0, [" p "], #16\n"                                                                   \
  "vldrw.u32 q1, [" p "], #16\n"                                                                   \
  "vadd.i32 " sum ", " sum ", q0\n"                                                                \
  "vldrw.u32 q3, [" p "], #16\n"                                                                   \
  "vqrdmulh.s32 " sum ", " sum ", q1\n"                                                            \
  "vrshl.s32 " sum ", " sum ", q3\n"
#define SCALE_LINEAR(sum, p)                                                                       \
  "vldrw.u32 q0, [" p "], #16\n"                                                                   \
  "vldrw.u32 q1, [" p "], #16\n"                                                                   \
  "vadd.i32 " sum ", " sum ", q0\n"                                                                \
  "vldrw.u32 q3, [" p "], #16\n"                                                                   \
  "vshr.s32 q2, " sum ", #31\n"                                                                    \
  "vqrdmulh.s32 " sum ", " sum ", q1\n"                                                            \
  "vadd.i32 " sum ", " sum ", q2\n"                                                                \
  "vrshl.s32 " sum ", " sum ", q3\n"
#define NARROW_TO_16_BITS                                                                          \
  "vqmovnb.s32 q0, q4\n"                                                                           \
  "vqmovnb.s32 q1, q6\n"                                                                           \
  "vqmovnt.s32 q0, q5\n"                                                                           \
  "vqmovnt.s32 q1, q7\n"

/* The flags say whether the row is linear (not equal). */
#define LOAD_IS_LINEAR(r) "ldr " r ", " SLOT_LINEAR "\ncmp " r ", #0\n"
#define FINISH(p)                                                                                  \
  "bne 7f\n"                                                                                       \
  SCALE("q4", p) SCALE("q5", p) SCALE("q6", p) SCALE("q7", p) NARROW_TO_16_BITS                    \
  "vqmovunb.s16 q2, q0\n"                                                                          \
  "vqmovunt.s16 q2, q1\n"                                                                          \
  "vadd.i8 q2, q2, r12\n"                                                                          \
  "8:\n"
#define FINISH_LINEAR(p)                                                                           \
  "7:\n"                                                                                           \
  SCALE_LINEAR("q4", p) SCALE_LINEAR("q5", p) SCALE_LINEAR("q6", p) SCALE_LINEAR("q7", p)          \
  NARROW_TO_16_BITS                                                                                \
  "vqadd.s16 q0, q0, r12\n"                                                                        \
  "vqadd.s16 q1, q1, r12\n"                                                                        \
  "vqmovnb.s16 q2, q0\n"                                                                           \
  "vqmovnt.s16 q2, q1\n"                                                                           \
  "vldrw.u32 q3, " SLOT_MINIMUM "\n"                                                               \
  "vldrw.u32 q0, " SLOT_MAXIMUM "\n"                                                               \
  "vmax.s8 q2, q2, q3\n"                                                                           \
  "vmin.s8 q2, q2, q0\n"                                                                           \
  "b 8b\n"

#define STORE "vstrb.8 q2, [r11], #16\n"
#define STORE_REST "vpst\nvstrbt.8 q2, [r11]\n"

#define SECTION(name) ".pushsection .text." name ", \"ax\", %progbits\n"
#define FUNCTION_BEGIN(name)                                                                       \
  SECTION(name)                                                                                    \
  ".syntax unified\n.thumb\n.balign 4\n"                                                           \
  ".global " name "\n"                                                                             \
  ".type " name ", %function\n"                                                                    \
  ".thumb_func\n" name ":\n"                                                                       \
  "push {r4-r11, lr}\n"                                                                            \
  "vpush {d8-d15}\n"                                                                               \
  "sub sp, sp, #88\n"                                                                              \
  "strd r1, r2, " SLOT_TABLES "\n"                                                                 \
  "ldm r3!, {r4, r6-r8, r10, r11}\n" /* up to output */                                            \
  "lsrs r1, r4, #4\n"                                                                              \
  "and r2, r4, #15\n"                                                                              \
  "strd r1, r2, " SLOT_GROUPS "\n"                                                                 \
  "mov r12, r6\n"                                                                                  \
  "vdup.8 q0, r7\n"                                                                                \
  "vdup.8 q1, r8\n"                                                                                \
  "vstrw.32 q0, " SLOT_MINIMUM "\n"                                                                \
  "vstrw.32 q1, " SLOT_MAXIMUM "\n"                                                                \
  "str r10, " SLOT_LINEAR "\n"                                                                     \
  "ldm r3, {r5-r10, lr}\n"                                                                         \
  "sub r4, r5, r1, lsl #4\n"                                                                       \
  "sub r6, r6, r1, lsl #4\n"                                                                       \
  "strd r4, r6, " SLOT_OUTPUT_ADVANCE "\n"
#define FUNCTION_END(name)                                                                         \
  "add sp, sp, #88\n"                                                                              \
  "vpop {d8-d15}\n"                                                                                \
  "pop {r4-r11, pc}\n"                                                                             \
  ".size " name ", . - " name "\n.popsection\n"

/* r0 to r8 taps, r9 weights, r10 parameters; WLS is a branch on zero that keeps the flags. In parts, because C99 promises no longer strings than
 * 4095 bytes. */
#define NAME_3X3 "ek_mve_depthwise_3x3"
#define NINE_TAPS(load, keep)                                                                      \
  FIRST_TAP(load, "r0", "r9")                                                                      \
  TWO_TAPS(load, keep, "r1", "r2", "r9")                                                           \
  TWO_TAPS(load, keep, "r3", "r4", "r9")                                                           \
  TWO_TAPS(load, keep, "r5", "r6", "r9")                                                           \
  TWO_TAPS(load, keep, "r7", "r8", "r9")

__asm__(FUNCTION_BEGIN(NAME_3X3)
  "strd r0, r10, " SLOT_SEGMENT "\n"
  "sub r7, r7, r1, lsl #4\n"
  "sub r8, r8, r1, lsl #4\n"
  "orr r6, r6, r7\n"
  "orr r4, r4, r8\n"
  "orr r6, r6, r2\n"
  "orr r6, r6, r4\n"
  "strd r7, r8, " SLOT_ADVANCE_1 "\n"
  "str r6, " SLOT_ADVANCES "\n"
  "0:\n"
  "ldr lr, " SLOT_SEGMENT "\n"
  "ldm lr!, {r0-r9}\n"
  "str lr, " SLOT_SEGMENT "\n"
  "str r9, " SLOT_PIXELS "\n"
  LOAD_IS_LINEAR("lr")
  "1:\n"
  "ldrd r9, r10, " SLOT_TABLES "\n"
  "ldr lr, " SLOT_GROUPS "\n"
  "wls lr, lr, 3f\n"
  ".popsection\n");
__asm__(SECTION(NAME_3X3) "2:\n" NINE_TAPS(ADVANCE, KEEP) ".popsection\n");
__asm__(SECTION(NAME_3X3) FINISH("r10") STORE
  "le lr, 2b\n"
  "3:\n"
  "ldr lr, " SLOT_ADVANCES "\n"
  "wls lr, lr, 5f\n"
  "b.w 9f\n"
  "5:\n"
  "ldr lr, " SLOT_PIXELS "\n"
  "sub lr, lr, #1\n"
  "str lr, " SLOT_PIXELS "\n"
  "wls lr, lr, 6f\n"
  "b.w 1b\n"
  "6:\n"
  "ldr lr, " SLOT_SEGMENTS_LEFT "\n"
  "subs lr, lr, #1\n"
  "str lr, " SLOT_SEGMENTS_LEFT "\n"
  "bne.w 0b\n"
  "add sp, sp, #88\n"
  "vpop {d8-d15}\n"
  "pop {r4-r11, pc}\n"
  ".popsection\n");
__asm__(SECTION(NAME_3X3) FINISH_LINEAR("r10") ".popsection\n");
__asm__(SECTION(NAME_3X3)
  "9:\n"
  "ldr lr, " SLOT_REST "\n"
  "wls lr, lr, 4f\n"
  "vctp.8 lr\n"
  ".popsection\n");
__asm__(SECTION(NAME_3X3) NINE_TAPS(REST, REST) ".popsection\n");
__asm__(SECTION(NAME_3X3) FINISH("r10") STORE_REST
  "4:\n"
  "ldr lr, " SLOT_OUTPUT_ADVANCE "\n"
  "add r11, r11, lr\n"
  "ldr lr, " SLOT_ADVANCE_0 "\n"
  "add r0, r0, lr\n"
  "add r1, r1, lr\n"
  "add r2, r2, lr\n"
  "ldr lr, " SLOT_ADVANCE_1 "\n"
  "add r3, r3, lr\n"
  "add r4, r4, lr\n"
  "add r5, r5, lr\n"
  "ldr lr, " SLOT_ADVANCE_2 "\n"
  "add r6, r6, lr\n"
  "add r7, r7, lr\n"
  "add r8, r8, lr\n"
  "b.w 5b\n"
  ".popsection\n");
__asm__(SECTION(NAME_3X3) FINISH_LINEAR("r10")
  ".size " NAME_3X3 ", . - " NAME_3X3 "\n.popsection\n");

/* r0 cursor of the table, r1 to r4 taps, r5 weights, r6 parameters, r7 groups left, r8 quads,
 * r9 the table. */
#define NAME_ANY "ek_mve_depthwise"

__asm__(FUNCTION_BEGIN(NAME_ANY)
  "str r9, " SLOT_PADDING "\n"
  "str r10, " SLOT_PIXELS "\n"
  "mov r8, lr\n"
  "mov r9, r0\n"
  "1:\n"
  "ldrd r5, r6, " SLOT_TABLES "\n"
  "ldr r7, " SLOT_GROUPS "\n"
  "cmp r7, #0\n"
  "beq.w 3f\n"
  "2:\n"
  "mov r0, r9\n"
  "ldr r1, [r0]\n"
  LOAD_IS_LINEAR("r2")
  FIRST_TAP(ADVANCE, "r1", "r5")
  "str r1, [r0], #4\n"
  "dls lr, r8\n"
  "4:\n"
  "ldm r0, {r1-r4}\n"
  TWO_TAPS(ADVANCE, KEEP, "r1", "r2", "r5")
  TWO_TAPS(ADVANCE, KEEP, "r3", "r4", "r5")
  "stm r0!, {r1-r4}\n"
  "le lr, 4b\n"
  ".popsection\n");
__asm__(SECTION(NAME_ANY) FINISH("r6") STORE
  "subs r7, r7, #1\n"
  "bne.w 2b\n"
  "3:\n"
  "ldr r7, " SLOT_REST "\n"
  "cmp r7, #0\n"
  "bne.w 9f\n"
  "5:\n"
  "ldr lr, " SLOT_PIXELS "\n"
  "subs lr, lr, #1\n"
  "beq.w 6f\n"
  "str lr, " SLOT_PIXELS "\n"
  "ldrd r0, r10, " SLOT_OUTPUT_ADVANCE "\n"
  "ldr r2, " SLOT_PADDING "\n"
  "add r11, r11, r0\n"
  "orrs r3, r10, r2\n"
  "beq.w 1b\n"
  "ldr r3, " SLOT_GROUPS "\n"
  "mov r0, r9\n"
  "add r2, r2, r3, lsl #4\n"
  "rsb r3, r3, #0\n"
  "lsl r3, r3, #4\n"
  "lsl r1, r8, #2\n"
  "add r1, r1, #1\n"
  "dlstp.32 lr, r1\n"
  "4:\n"
  "vldrw.u32 q0, [r0]\n"
  "vpte.i32 eq, q0, r2\n"
  "vaddt.i32 q0, q0, r3\n"
  "vadde.i32 q0, q0, r10\n"
  "vstrw.32 q0, [r0], #16\n"
  "letp lr, 4b\n"
  "b.w 1b\n"
  ".popsection\n");
__asm__(SECTION(NAME_ANY) FINISH_LINEAR("r6") ".popsection\n");
__asm__(SECTION(NAME_ANY)
  "9:\n"
  "vctp.8 r7\n"
  "mov r0, r9\n"
  "ldr r1, [r0], #4\n"
  LOAD_IS_LINEAR("r2")
  FIRST_TAP(REST, "r1", "r5")
  "dls lr, r8\n"
  "4:\n"
  "ldm r0!, {r1-r4}\n"
  TWO_TAPS(REST, REST, "r1", "r2", "r5")
  TWO_TAPS(REST, REST, "r3", "r4", "r5")
  "le lr, 4b\n"
  ".popsection\n");
__asm__(SECTION(NAME_ANY) FINISH("r6") STORE_REST
  "b.w 5b\n"
  ".popsection\n");
__asm__(SECTION(NAME_ANY) FINISH_LINEAR("r6")
  "6:\n"
  FUNCTION_END(NAME_ANY));

/* clang-format on */

#endif
