/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dsp_depthwise_assembly.h"
#include "ek_dsp_depthwise_row.h"

#if defined(__ARM_FEATURE_DSP)

/* Registers: r0-r2 next words of the three input rows, r4-r6 the words before them, r3 parameters
 * of the channel, r7 two input columns, r12 and lr weights, r8-r11 sums of four pixels. The stack
 * pointer stays: sp points at the row, whose fields are the working space (SLOT_...). */
/* One line per line of assembly, which clang-format does not know. */
/* clang-format off */
#define FREE_1 "r7"
#define FREE_2 "r12"
#define FREE_3 "lr"

#define SLOT_TAIL "[sp, #20]"
#define SLOT_PACKED_END "[sp, #24]"
#define SLOT_INPUT_GAP "[sp, #28]"
#define SLOT_SAVED "[sp, #32]"

#define PARAMETER_BIAS "[r3, #36]"
#define PARAMETER_CLAMP "[r3, #40]"

/* Rows of sums. The first term of pixel i is added to s<i>: the bias in the first kernel row (in
 * the register of the last pixel), the sum so far in the others. */
#define LOAD_WEIGHTS(offset) "ldrd r12, lr, [r3, #" offset "]\n"
#define EVEN(word) "sxtb16 r7, " word "\n"
#define ODD(word) "sxtb16 r7, " word ", ror #8\n"
#define NEXT(word, row) "ldr " word ", [" row "], #4\n"
#define MAC(operation, weights, sum, s) operation " " sum ", r7, " weights ", " s "\n"

#define S1_ROW_1(word, row, offset, s0, s1, s2, s3)                                                \
  LOAD_WEIGHTS(offset)                                                                             \
  EVEN(word)                                                                                       \
  MAC("smlad", "r12", "r8", s0)                                                                    \
  ODD(word)                                                                                        \
  MAC("smlabt", "lr", "r8", "r8")
#define S1_ROW_2(word, row, offset, s0, s1, s2, s3)                                                \
  LOAD_WEIGHTS(offset)                                                                             \
  EVEN(word)                                                                                       \
  MAC("smlad", "r12", "r8", s0)                                                                    \
  MAC("smlatb", "r12", "r9", s1)                                                                   \
  ODD(word)                                                                                        \
  MAC("smlabt", "lr", "r8", "r8")                                                                  \
  MAC("smlad", "lr", "r9", "r9")
#define S1_ROW_3(word, row, offset, s0, s1, s2, s3)                                                \
  LOAD_WEIGHTS(offset)                                                                             \
  EVEN(word)                                                                                       \
  MAC("smlad", "r12", "r8", s0)                                                                    \
  MAC("smlatb", "r12", "r9", s1)                                                                   \
  ODD(word)                                                                                        \
  NEXT(word, row)                                                                                  \
  MAC("smlabt", "lr", "r8", "r8")                                                                  \
  MAC("smlad", "lr", "r9", "r9")                                                                   \
  MAC("smlad", "r12", "r10", s2)                                                                   \
  EVEN(word)                                                                                       \
  MAC("smlabt", "lr", "r10", "r10")
#define S1_ROW_4(word, row, offset, s0, s1, s2, s3)                                                \
  LOAD_WEIGHTS(offset)                                                                             \
  EVEN(word)                                                                                       \
  MAC("smlad", "r12", "r8", s0)                                                                    \
  MAC("smlatb", "r12", "r9", s1)                                                                   \
  ODD(word)                                                                                        \
  NEXT(word, row)                                                                                  \
  MAC("smlabt", "lr", "r8", "r8")                                                                  \
  MAC("smlad", "lr", "r9", "r9")                                                                   \
  MAC("smlad", "r12", "r10", s2)                                                                   \
  MAC("smlatb", "r12", "r11", s3)                                                                  \
  EVEN(word)                                                                                       \
  MAC("smlabt", "lr", "r10", "r10")                                                                \
  MAC("smlad", "lr", "r11", "r11")

#define S2_ROW_1(word, row, offset, s0, s1, s2, s3)                                                \
  LOAD_WEIGHTS(offset)                                                                             \
  EVEN(word)                                                                                       \
  MAC("smlad", "r12", "r8", s0)                                                                    \
  ODD(word)                                                                                        \
  MAC("smlabb", "lr", "r8", "r8")
#define S2_ROW_2(word, row, offset, s0, s1, s2, s3)                                                \
  LOAD_WEIGHTS(offset)                                                                             \
  EVEN(word)                                                                                       \
  MAC("smlad", "r12", "r8", s0)                                                                    \
  ODD(word)                                                                                        \
  NEXT(word, row)                                                                                  \
  MAC("smlad", "r12", "r9", s1)                                                                    \
  MAC("smlabb", "lr", "r8", "r8")                                                                  \
  EVEN(word)                                                                                       \
  MAC("smlabb", "lr", "r9", "r9")
#define S2_ROW_3(word, row, offset, s0, s1, s2, s3)                                                \
  LOAD_WEIGHTS(offset)                                                                             \
  EVEN(word)                                                                                       \
  MAC("smlad", "r12", "r8", s0)                                                                    \
  ODD(word)                                                                                        \
  NEXT(word, row)                                                                                  \
  MAC("smlad", "r12", "r9", s1)                                                                    \
  MAC("smlabb", "lr", "r8", "r8")                                                                  \
  EVEN(word)                                                                                       \
  MAC("smlad", "r12", "r10", s2)                                                                   \
  MAC("smlabb", "lr", "r9", "r9")                                                                  \
  ODD(word)                                                                                        \
  MAC("smlabb", "lr", "r10", "r10")
#define S2_ROW_4(word, row, offset, s0, s1, s2, s3)                                                \
  LOAD_WEIGHTS(offset)                                                                             \
  EVEN(word)                                                                                       \
  MAC("smlad", "r12", "r8", s0)                                                                    \
  ODD(word)                                                                                        \
  NEXT(word, row)                                                                                  \
  MAC("smlad", "r12", "r9", s1)                                                                    \
  MAC("smlabb", "lr", "r8", "r8")                                                                  \
  EVEN(word)                                                                                       \
  MAC("smlad", "r12", "r10", s2)                                                                   \
  MAC("smlabb", "lr", "r9", "r9")                                                                  \
  ODD(word)                                                                                        \
  NEXT(word, row)                                                                                  \
  MAC("smlad", "r12", "r11", s3)                                                                   \
  MAC("smlabb", "lr", "r10", "r10")                                                                \
  EVEN(word)                                                                                       \
  MAC("smlabb", "lr", "r11", "r11")

#define SUMS(ROW, bias)                                                                            \
  "ldr " bias ", " PARAMETER_BIAS "\n"                                                             \
  ROW("r4", "r0", "12", bias, bias, bias, bias)                                                    \
  ROW("r5", "r1", "20", "r8", "r9", "r10", "r11")                                                  \
  ROW("r6", "r2", "28", "r8", "r9", "r10", "r11")

#define AT_ZERO_POINT(P)                                                                           \
  "ldm r3, {r7, r12, lr}\n" PIXELS_##P(SCALE) PIXELS_##P(SHIFT) PIXELS_##P(SATURATE)
#define LINEAR(P)                                                                                  \
  "ldrd r7, r12, [r3]\n" PIXELS_##P(SCALE_NUDGED) "ldr lr, [r3, #8]\n" PIXELS_##P(SHIFT)           \
      PIXELS_##P(SATURATE)
#define CLAMPED(P) LINEAR(P) "ldrd r7, r12, " PARAMETER_CLAMP "\n" PIXELS_##P(CLAMP)

#define ROW_GROUPS(name, ROW, finish)                                                              \
  SECTION(name)                                                                                    \
  ".syntax unified\n.thumb\n.balign 4\n"                                                           \
  ".global " name "\n"                                                                             \
  ".type " name ", %function\n"                                                                    \
  ".thumb_func\n" name ":\n"                                                                       \
  "ldr r12, " SLOT_SAVED "\n"                                                                      \
  "stm r12, {r4-r11, lr}\n"                                                                        \
  "ldr r4, " SLOT_TAIL "\n"                                                                        \
  "adr.w r5, 7f\n"                                                                                 \
  "ldr r4, [r5, r4, lsl #2]\n"                                                                     \
  "add r4, r4, r5\n"                                                                               \
  "str r4, " SLOT_TAIL "\n"                                                                        \
  "1:\n" NEXT("r4", "r0") NEXT("r5", "r1") NEXT("r6", "r2") BEGIN_CHANNEL                          \
  "2:\n" SUMS(ROW##_4, "r11") finish(4) NEXT_GROUP                                                 \
  "3:\n"                                                                                           \
  "ldr pc, " SLOT_TAIL "\n"                                                                        \
  ".popsection\n"

#define ROW_TAILS(name, ROW, finish, channel_bytes)                                                \
  SECTION(name)                                                                                    \
  "4:\n" SUMS(ROW##_1, "r8") finish(1) STORE_1 "b 8f\n"                                            \
                                               "5:\n" SUMS(ROW##_2, "r9") finish(2) STORE_2        \
      "b 8f\n"                                                                                     \
      "6:\n" SUMS(ROW##_3, "r10") finish(3) STORE_3                                                \
      "8:\n"                                                                                       \
      "ldr r7, " SLOT_INPUT_GAP "\n"                                                               \
      "ldr r8, " SLOT_PACKED_END "\n"                                                              \
      "add r3, r3, #" #channel_bytes "\n"                                                          \
      "cbz r7, 9f\n"                                                                               \
      "add r0, r0, r7\n"                                                                           \
      "add r1, r1, r7\n"                                                                           \
      "add r2, r2, r7\n"                                                                           \
      "9:\n"                                                                                       \
      "cmp r3, r8\n"                                                                               \
      "bne.w 1b\n"                                                                                 \
      "ldr r12, " SLOT_SAVED "\n"                                                                  \
      "ldm r12, {r4-r11, pc}\n"                                                                    \
      ".balign 4\n"                                                                                \
      "7:\n"                                                                                       \
      ".word 8b - 7b + 1, 4b - 7b + 1, 5b - 7b + 1, 6b - 7b + 1\n"                                 \
      ".size " name ", . - " name "\n"                                                             \
      ".popsection\n"

/* In parts, because C99 promises no longer strings than 4095 bytes. */
__asm__(ROW_GROUPS("ek_dsp_depthwise_3x3s1_at_zero_point", S1_ROW, AT_ZERO_POINT));
__asm__(ROW_TAILS("ek_dsp_depthwise_3x3s1_at_zero_point", S1_ROW, AT_ZERO_POINT, 40));
__asm__(ROW_GROUPS("ek_dsp_depthwise_3x3s1_linear", S1_ROW, LINEAR));
__asm__(ROW_TAILS("ek_dsp_depthwise_3x3s1_linear", S1_ROW, LINEAR, 40));
__asm__(ROW_GROUPS("ek_dsp_depthwise_3x3s1_clamped", S1_ROW, CLAMPED));
__asm__(ROW_TAILS("ek_dsp_depthwise_3x3s1_clamped", S1_ROW, CLAMPED, 48));
__asm__(ROW_GROUPS("ek_dsp_depthwise_3x3s2_at_zero_point", S2_ROW, AT_ZERO_POINT));
__asm__(ROW_TAILS("ek_dsp_depthwise_3x3s2_at_zero_point", S2_ROW, AT_ZERO_POINT, 40));
__asm__(ROW_GROUPS("ek_dsp_depthwise_3x3s2_linear", S2_ROW, LINEAR));
__asm__(ROW_TAILS("ek_dsp_depthwise_3x3s2_linear", S2_ROW, LINEAR, 40));
__asm__(ROW_GROUPS("ek_dsp_depthwise_3x3s2_clamped", S2_ROW, CLAMPED));
__asm__(ROW_TAILS("ek_dsp_depthwise_3x3s2_clamped", S2_ROW, CLAMPED, 48));

/* clang-format on */

#endif
