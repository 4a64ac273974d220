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

#define SLOT_TAIL "[sp, #20]" /* then finish */
#define SLOT_FINISH_GROUP "[sp, #24]"
#define SLOT_FINISH_TAIL "[sp, #28]"
#define SLOT_PACKED_END "[sp, #32]" /* then input_gap */
#define SLOT_SAVED "[sp, #40]"

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

#define ROW_BEGIN(name)                                                                            \
  SECTION(name)                                                                                    \
  ".syntax unified\n.thumb\n.balign 4\n"                                                           \
  ".global " name "\n"                                                                             \
  ".type " name ", %function\n"                                                                    \
  ".thumb_func\n" name ":\n"                                                                       \
  "ldr r12, " SLOT_SAVED "\n"                                                                      \
  "stm r12, {r4-r11, lr}\n"                                                                        \
  "ldrd r4, r6, " SLOT_TAIL "\n"                                                                   \
  "adr.w r5, 7f\n"                                                                                 \
  "ldr r7, [r5, r4, lsl #2]\n"                                                                     \
  "add r4, r4, r4, lsl #1\n"                                                                       \
  "add r4, r4, r6\n"                                                                               \
  "add r8, r5, #20\n"                                                                              \
  "ldr r9, [r8, r4, lsl #2]\n"                                                                     \
  "ldr r10, [r8, r6, lsl #2]\n"                                                                    \
  "add r7, r7, r5\n"                                                                               \
  "add r9, r9, r5\n"                                                                               \
  "add r10, r10, r5\n"                                                                             \
  "strd r7, r10, " SLOT_TAIL "\n"                                                                  \
  "str r9, " SLOT_FINISH_TAIL "\n"

#define ROW_GROUPS(ROW)                                                                            \
  "1:\n" NEXT("r4", "r0") NEXT("r5", "r1") NEXT("r6", "r2") BEGIN_CHANNEL                          \
  "2:\n" SUMS(ROW##_4, "r11")                                                                      \
  "ldr pc, " SLOT_FINISH_GROUP "\n"                                                                \
  "10:\n" AT_ZERO_POINT(4) NEXT_GROUP "ldr pc, " SLOT_TAIL "\n"                                    \
  "11:\n" LINEAR(4) NEXT_GROUP "ldr pc, " SLOT_TAIL "\n"                                           \
  "12:\n" CLAMPED(4) NEXT_GROUP                                                                    \
  "3:\n"                                                                                           \
  "ldr pc, " SLOT_TAIL "\n"                                                                        \
  ".popsection\n"

#define ROW_TAIL(name, label, ROW, P, bias, clamped_end, end)                                      \
  SECTION(name)                                                                                    \
  label ":\n" SUMS(ROW##_##P, bias)                                                                \
  "ldr pc, " SLOT_FINISH_TAIL "\n"                                                                 \
  label "2:\n" CLAMPED(P) STORE_##P clamped_end                                                    \
  label "1:\n" LINEAR(P) STORE_##P "b.w 8f\n"                                                      \
  label "0:\n" AT_ZERO_POINT(P) STORE_##P end                                                      \
  ".popsection\n"

#define ROW_END(name)                                                                              \
  SECTION(name)                                                                                    \
  "8:\n"                                                                                           \
  "ldrd r8, r7, " SLOT_PACKED_END "\n"                                                             \
  "add r3, r3, #40\n"                                                                              \
  "cbz r7, 13f\n"                                                                                  \
  "add r0, r0, r7\n"                                                                               \
  "add r1, r1, r7\n"                                                                               \
  "add r2, r2, r7\n"                                                                               \
  "13:\n"                                                                                          \
  "cmp r3, r8\n"                                                                                   \
  "bne.w 1b\n"                                                                                     \
  "ldr r12, " SLOT_SAVED "\n"                                                                      \
  "ldm r12, {r4-r11, pc}\n"                                                                        \
  ".balign 4\n"                                                                                    \
  "7:\n"                                                                                           \
  ".word 8b - 7b + 1, 4b - 7b + 1, 5b - 7b + 1, 6b - 7b + 1, 9b - 7b + 1\n"                        \
  ".word 10b - 7b + 1, 11b - 7b + 1, 12b - 7b + 1\n"                                               \
  ".word 40b - 7b + 1, 41b - 7b + 1, 42b - 7b + 1\n"                                               \
  ".word 50b - 7b + 1, 51b - 7b + 1, 52b - 7b + 1\n"                                               \
  ".word 60b - 7b + 1, 61b - 7b + 1, 62b - 7b + 1\n"                                               \
  ".word 0, 0, 0\n"                                                                                \
  ".size " name ", . - " name "\n"                                                                 \
  ".popsection\n"

/* In parts, because C99 promises no longer strings than 4095 bytes. */
#define ROWS(name, ROW)                                                                            \
  __asm__(ROW_BEGIN(name) ROW_GROUPS(ROW));                                                        \
  __asm__(ROW_TAIL(name, "6", ROW, 3, "r10", "b.w 9f\n", "b.w 8f\n"));                             \
  __asm__(ROW_TAIL(name, "5", ROW, 2, "r9", "b.w 9f\n", "b.w 8f\n"));                              \
  __asm__(ROW_TAIL(name, "4", ROW, 1, "r8", "9:\nadd r3, r3, #8\nb.w 8f\n", ""));                 \
  __asm__(ROW_END(name))

ROWS("ek_dsp_depthwise_3x3s1", S1_ROW);
ROWS("ek_dsp_depthwise_3x3s2", S2_ROW);

/* clang-format on */

#endif
