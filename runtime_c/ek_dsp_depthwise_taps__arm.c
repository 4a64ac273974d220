/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dsp_depthwise_taps.h"

#if defined(__ARM_FEATURE_DSP)

/* Registers: r0 the taps' pointers, r1 parameters, r8 the input offset, r4-r7 sums of 4 channels,
 * r9-r12 weights, r2, r3, lr inputs. sp points at the parameter (SLOT_...). */
/* One line per line of assembly, which clang-format does not know. */
/* clang-format off */
#define SLOT_OUTPUT "[sp]" /* then output_step */
#define SLOT_PIXELS "[sp, #8]" /* then input_gap */
#define SLOT_OUTPUT_GAP "[sp, #16]"
#define SLOT_TAPS "[sp, #20]"
#define SLOT_LAST_TAP "[sp, #24]"
#define SLOT_PACKED_END "[sp, #28]"
#define SLOT_ENTRY "[sp, #32]"
#define SLOT_IS_ODD "[sp, #36]"
#define SLOT_FINISH "[sp, #40]"
#define SLOT_OUTPUTS "[sp, #44]"
#define SLOT_CLAMP "[sp, #48]"
#define SLOT_SAVED "[sp, #56]" /* then packed */
#define SLOT_PACKED "[sp, #60]"

#define PAIR_OF_4                                                                                  \
  "ldrd r2, r3, [r0], #8\n"                                                                        \
  "ldr r2, [r2, r8]\n"                                                                             \
  "ldr r3, [r3, r8]\n"                                                                             \
  "ldm r1!, {r9-r12}\n"                                                                            \
  "pkhbt lr, r2, r3, lsl #16\n"                                                                    \
  "pkhtb r3, r3, r2, asr #16\n"                                                                    \
  "sxtb16 r2, lr\n"                                                                                \
  "smlad r4, r2, r9, r4\n"                                                                         \
  "sxtb16 lr, lr, ror #8\n"                                                                        \
  "smlad r5, lr, r10, r5\n"                                                                        \
  "sxtb16 r2, r3\n"                                                                                \
  "smlad r6, r2, r11, r6\n"                                                                        \
  "sxtb16 r3, r3, ror #8\n"                                                                        \
  "smlad r7, r3, r12, r7\n"
#define LAST_OF_4                                                                                  \
  "ldr r2, [r0]\n"                                                                                 \
  "ldr r2, [r2, r8]\n"                                                                             \
  "ldrd r9, r10, [r1], #8\n"                                                                       \
  "sxtb16 r3, r2\n"                                                                                \
  "sxtb16 r2, r2, ror #8\n"                                                                        \
  "smlabb r4, r3, r9, r4\n"                                                                        \
  "smlabb r5, r2, r10, r5\n"                                                                       \
  "smlatt r6, r3, r9, r6\n"                                                                        \
  "smlatt r7, r2, r10, r7\n"
#define STEP_OF_4 "add r8, r8, #4\n"
#define STORE_OF_4 STORE_4

#define PAIR_OF_1                                                                                  \
  "ldrd r2, r3, [r0], #8\n"                                                                        \
  "ldrsb r2, [r2, r8]\n"                                                                           \
  "ldrsb r3, [r3, r8]\n"                                                                           \
  "ldm r1!, {r9-r12}\n"                                                                            \
  "pkhbt r2, r2, r3, lsl #16\n"                                                                    \
  "smlad r4, r2, r9, r4\n"                                                                         \
  "smlad r5, r2, r10, r5\n"                                                                        \
  "smlad r6, r2, r11, r6\n"                                                                        \
  "smlad r7, r2, r12, r7\n"
#define LAST_OF_1                                                                                  \
  "ldr r2, [r0]\n"                                                                                 \
  "ldrsb r2, [r2, r8]\n"                                                                           \
  "ldrd r9, r10, [r1], #8\n"                                                                       \
  "smlabb r4, r2, r9, r4\n"                                                                        \
  "smlabb r5, r2, r10, r5\n"                                                                       \
  "smlabt r6, r2, r9, r6\n"                                                                        \
  "smlabt r7, r2, r10, r7\n"
#define STEP_OF_1 "add r8, r8, #1\n"
#define STORE_OF_1 "ldr pc, " SLOT_OUTPUTS "\n"

/* The first and second, or third and fourth channel. */
#define LOAD_SCALES "ldm r1!, {r2, r3, r9-r12}\n"
#define NUDGE(a, b) "add r3, r3, " a ", asr #31\nadd r11, r11, " b ", asr #31\n"
#define SCALE(a, b)                                                                                \
  "smmlar " a ", " a ", r2, r3\nsmmlar " b ", " b ", r10, r11\n"                                   \
  "asr " a ", " a ", r9\nasr " b ", " b ", r12\nssat " a ", #8, " a "\nssat " b ", #8, " b "\n"
#define CLAMP(sum) "qadd8 " sum ", " sum ", r2\nsub " sum ", " sum ", r3\n"
#define AT_ZERO_POINT LOAD_SCALES SCALE("r4", "r5") LOAD_SCALES SCALE("r6", "r7")
#define LINEAR                                                                                     \
  LOAD_SCALES NUDGE("r4", "r5") SCALE("r4", "r5") LOAD_SCALES NUDGE("r6", "r7") SCALE("r6", "r7")
#define CLAMPED                                                                                    \
  LINEAR "ldrd r2, r3, " SLOT_CLAMP "\n" CLAMP("r4") CLAMP("r5") CLAMP("r6") CLAMP("r7")

#define STORE_4                                                                                    \
  "ldrd r2, r3, " SLOT_OUTPUT "\n"                                                                 \
  "bfi r4, r5, #8, #8\n"                                                                           \
  "bfi r4, r6, #16, #8\n"                                                                          \
  "bfi r4, r7, #24, #8\n"                                                                          \
  "str r4, [r2]\n"                                                                                 \
  "b 9f\n"
#define STORE_1 "ldrd r2, r3, " SLOT_OUTPUT "\nstrb r4, [r2]\n"
#define STORE_2 STORE_1 "strb r5, [r2, #1]\n"
#define STORE_3 STORE_2 "strb r6, [r2, #2]\n"

#define SECTION(name) ".pushsection .text." name ", \"ax\", %progbits\n"
#define ADDRESS(slot) /* of the label whose number is in a slot */                                 \
  "ldr r4, " slot "\nldr r4, [r5, r4, lsl #2]\nadd r4, r4, r5\nstr r4, " slot "\nadd r5, r5, #20\n"

#define SUMS(name, PAIR, LAST)                                                                     \
  SECTION(name)                                                                                    \
  ".syntax unified\n.thumb\n.balign 4\n"                                                           \
  ".global " name "\n"                                                                             \
  ".type " name ", %function\n"                                                                    \
  ".thumb_func\n" name ":\n"                                                                       \
  "stm r0, {r4-r11, lr}\n"                                                                         \
  "strd r0, r1, " SLOT_SAVED "\n"                                                                  \
  "mov r8, r2\n"                                                                                   \
  "adr.w r5, 7f\n"                                                                                 \
  ADDRESS(SLOT_ENTRY) ADDRESS(SLOT_IS_ODD) ADDRESS(SLOT_FINISH) ADDRESS(SLOT_OUTPUTS)              \
  "1:\n"                                                                                           \
  "ldr r0, " SLOT_TAPS "\n"                                                                        \
  "ldm r1!, {r4-r7}\n"                                                                             \
  "ldr pc, " SLOT_ENTRY "\n"                                                                       \
  "20:\n" PAIR "21:\n" PAIR "22:\n" PAIR "23:\n" PAIR                                              \
  "ldr r2, " SLOT_LAST_TAP "\n"                                                                    \
  "cmp r0, r2\n"                                                                                   \
  "bne.w 20b\n"                                                                                    \
  "24:\n"                                                                                          \
  "ldr pc, " SLOT_IS_ODD "\n"                                                                      \
  "25:\n" LAST                                                                                     \
  "26:\n"                                                                                          \
  "ldr pc, " SLOT_FINISH "\n"                                                                      \
  ".popsection\n"

#define FINISHES(name, STORE)                                                                      \
  SECTION(name)                                                                                    \
  "30:\n" AT_ZERO_POINT STORE                                                                      \
  "31:\n" LINEAR STORE                                                                             \
  "32:\n" CLAMPED STORE                                                                            \
  "33:\n"                                                                                          \
  "ldrd r2, r3, " SLOT_OUTPUT "\n"                                                                 \
  "stm r2, {r4-r7}\n"                                                                              \
  "add r1, r1, #48\n"                                                                              \
  "b 9f\n"                                                                                         \
  ".popsection\n"

#define STORES(name, STEP)                                                                         \
  SECTION(name)                                                                                    \
  "44:\n" STORE_4                                                                                  \
  "43:\n" STORE_3 "b 9f\n"                                                                         \
  "42:\n" STORE_2 "b 9f\n"                                                                         \
  "41:\n" STORE_1                                                                                  \
  "9:\n"                                                                                           \
  "add r2, r2, r3\n"                                                                               \
  "ldr r3, " SLOT_PACKED_END "\n"                                                                  \
  "str r2, " SLOT_OUTPUT "\n" STEP                                                                 \
  "cmp r1, r3\n"                                                                                   \
  "bne.w 1b\n"                                                                                     \
  "ldrd r9, r10, " SLOT_PIXELS "\n"                                                                \
  "ldr r3, " SLOT_OUTPUT_GAP "\n"                                                                  \
  "ldr r1, " SLOT_PACKED "\n"                                                                      \
  "add r8, r8, r10\n"                                                                              \
  "add r2, r2, r3\n"                                                                               \
  "subs r9, r9, #1\n"                                                                              \
  "str r2, " SLOT_OUTPUT "\n"                                                                      \
  "str r9, " SLOT_PIXELS "\n"                                                                      \
  "bne.w 1b\n"                                                                                     \
  "ldr r12, " SLOT_SAVED "\n"                                                                      \
  "ldm r12, {r4-r11, pc}\n"                                                                        \
  ".balign 4\n"                                                                                    \
  "7:\n" /* every slot takes its offsets from 7b + 20 * its number */                              \
  ".word 20b - 7b + 1, 21b - 7b + 1, 22b - 7b + 1, 23b - 7b + 1, 24b - 7b + 1\n"                   \
  ".word 26b - 7b - 19, 25b - 7b - 19, 0, 0, 0\n"                                                  \
  ".word 30b - 7b - 39, 31b - 7b - 39, 32b - 7b - 39, 33b - 7b - 39, 0\n"                          \
  ".word 0, 41b - 7b - 59, 42b - 7b - 59, 43b - 7b - 59, 44b - 7b - 59\n"                          \
  ".size " name ", . - " name "\n"                                                                 \
  ".popsection\n"

/* In parts, because C99 promises no longer strings than 4095 bytes. */
__asm__(SUMS("ek_dsp_depthwise_taps_of_4", PAIR_OF_4, LAST_OF_4));
__asm__(FINISHES("ek_dsp_depthwise_taps_of_4", STORE_OF_4));
__asm__(STORES("ek_dsp_depthwise_taps_of_4", STEP_OF_4));
__asm__(SUMS("ek_dsp_depthwise_taps_of_1", PAIR_OF_1, LAST_OF_1));
__asm__(FINISHES("ek_dsp_depthwise_taps_of_1", STORE_OF_1));
__asm__(STORES("ek_dsp_depthwise_taps_of_1", STEP_OF_1));

/* clang-format on */

#endif
