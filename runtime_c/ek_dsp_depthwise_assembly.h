/* SPDX-License-Identifier: Apache-2.0 */
/* What the assembly of the depthwise rows shares: the finish and the store of up to 4 pixels.
 *
 * r8-r11 have the sums of the pixels, sp points at the row, and FREE_1 to FREE_3, which the file
 * defines, are registers that are free behind the sums. In a finish they have multiplier, offset
 * and exponent (NUDGED: the last is free, then the exponent). */
#ifndef EK_DSP_DEPTHWISE_ASSEMBLY_H
#define EK_DSP_DEPTHWISE_ASSEMBLY_H

/* One line per line of assembly, which clang-format does not know. */
/* clang-format off */
#define SLOT_GROUPS_END "[sp]"  /* then the cursor: where the next pixel is stored */
#define SLOT_CURSOR "[sp, #4]"  /* then pixel_stride */
#define SLOT_OUTPUT "[sp, #12]" /* then group_bytes */

/* One step for the sum of every pixel. */
#define PIXELS_1(step) step("r8")
#define PIXELS_2(step) PIXELS_1(step) step("r9")
#define PIXELS_3(step) PIXELS_2(step) step("r10")
#define PIXELS_4(step) PIXELS_3(step) step("r11")

#define SCALE(sum) "smmlar " sum ", " sum ", " FREE_1 ", " FREE_2 "\n"
#define SCALE_NUDGED(sum)                                                                          \
  "add " FREE_3 ", " FREE_2 ", " sum ", asr #31\n"                                                 \
  "smmlar " sum ", " sum ", " FREE_1 ", " FREE_3 "\n"
#define SHIFT(sum) "asr " sum ", " sum ", " FREE_3 "\n"
#define SATURATE(sum) "ssat " sum ", #8, " sum "\n"
#define CLAMP(sum) "qadd8 " sum ", " sum ", " FREE_1 "\nsub " sum ", " sum ", " FREE_2 "\n"

#define STORE_1 "ldr " FREE_2 ", " SLOT_CURSOR "\nstrb r8, [" FREE_2 "]\n"
#define STORE_BOTH "strb r8, [" FREE_2 "]\nstrb r9, [" FREE_2 ", " FREE_3 "]\n"
#define STORE_2 "ldrd " FREE_2 ", " FREE_3 ", " SLOT_CURSOR "\n" STORE_BOTH
#define STORE_3 STORE_2 "strb r10, [" FREE_2 ", " FREE_3 ", lsl #1]\n"

/* Output of the next channel: its cursor, its end of groups; to 3 where there are none. */
#define BEGIN_CHANNEL                                                                              \
  "ldrd " FREE_1 ", " FREE_2 ", " SLOT_OUTPUT "\n"                                                 \
  "add r8, " FREE_1 ", #1\n"                                                                       \
  "add " FREE_2 ", " FREE_2 ", " FREE_1 "\n"                                                       \
  "str r8, " SLOT_OUTPUT "\n"                                                                      \
  "strd " FREE_2 ", " FREE_1 ", " SLOT_GROUPS_END "\n"                                             \
  "cmp " FREE_1 ", " FREE_2 "\n"                                                                   \
  "beq.w 3f\n"
/* Stores 4 pixels; to 2 unless they were the last group. */
#define NEXT_GROUP                                                                                 \
  "ldm sp, {" FREE_1 ", " FREE_2 ", " FREE_3 "}\n" STORE_BOTH                                      \
  "strb r10, [" FREE_2 ", " FREE_3 ", lsl #1]\n"                                                   \
  "add r8, " FREE_2 ", " FREE_3 "\n"                                                               \
  "strb r11, [r8, " FREE_3 ", lsl #1]\n"                                                           \
  "add " FREE_2 ", " FREE_2 ", " FREE_3 ", lsl #2\n"                                               \
  "str " FREE_2 ", " SLOT_CURSOR "\n"                                                              \
  "cmp " FREE_2 ", " FREE_1 "\n"                                                                   \
  "bne.w 2b\n"

#define SECTION(name) ".pushsection .text." name ", \"ax\", %progbits\n"
/* clang-format on */

#endif
