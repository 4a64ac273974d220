/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dsp_depthwise_assembly.h"
#include "ek_dsp_depthwise_wide_row.h"

#if defined(__ARM_FEATURE_DSP)

/* Registers: r0 an input row, r1 a word of it, r7 two input columns, r3 weights of the channel,
 * r2, r4-r6, r12, lr weights of a kernel row, r8-r11 sums of four pixels. Where weights leave some
 * of r6, r12 and lr free, these hold the first input rows. */
/* One line per line of assembly, which clang-format does not know. */
/* clang-format off */
#define FREE_1 "r0"
#define FREE_2 "r1"
#define FREE_3 "r7"

#define SLOT_TAIL "[sp, #20]"
#define SLOT_FINISH_GROUP "[sp, #24]"
#define SLOT_FINISH_TAIL "[sp, #28]"
#define SLOT_SAVED "[sp, #32]"
#define SLOT_PACKED_BYTES "[sp, #36]" /* then packed_end */
#define SLOT_PACKED_END "[sp, #40]"
#define SLOT_INPUT_GAP "[sp, #44]"
#define SLOT_INPUTS "48"

/* Assembler macros, because C's cannot count: .Lkernel, .Lstride and .Lpixels say what is
 * computed, .Lrow and .Lpair count kernel rows and pairs of input columns, .Ltap is the kernel
 * column under the first input column of the pair. */
__asm__(".syntax unified\n"
        ".macro ek_mac operation, number, sum, addend\n"
        ".if \\number == 0\n\\operation \\sum, r7, r2, \\addend\n"
        ".elseif \\number == 1\n\\operation \\sum, r7, r4, \\addend\n"
        ".elseif \\number == 2\n\\operation \\sum, r7, r5, \\addend\n"
        ".elseif \\number == 3\n\\operation \\sum, r7, r6, \\addend\n"
        ".elseif \\number == 4\n\\operation \\sum, r7, r12, \\addend\n"
        ".else\n\\operation \\sum, r7, lr, \\addend\n.endif\n"
        ".endm\n"
        ".macro ek_taps_of_stride_1 sum, addend\n"
        ".if .Ltap == -1\nek_mac smlatb, 0, \\sum, \\addend\n"
        ".elseif .Ltap == .Lkernel - 1\nek_mac smlabt, (.Lkernel-2), \\sum, \\addend\n"
        ".elseif .Ltap >= 0 && .Ltap < .Lkernel - 1\n"
        "ek_mac smlad, (.Ltap/2+(.Ltap&1)*(.Lkernel/2)), \\sum, \\addend\n.endif\n"
        ".endm\n"
        ".macro ek_taps_of_stride_2 sum, addend\n"
        ".if .Ltap == .Lkernel - 1\nek_mac smlabb, (.Lkernel/2), \\sum, \\addend\n"
        ".elseif .Ltap >= 0 && .Ltap < .Lkernel - 1\n"
        "ek_mac smlad, (.Ltap/2), \\sum, \\addend\n.endif\n"
        ".endm\n");

/* The first term of a pixel is added to the bias, which is in the register of the last pixel. */
__asm__(".macro ek_pixel number, sum, bias\n"
        ".if \\number < .Lpixels\n"
        ".set .Ltap, 2 * .Lpair - .Lstride * \\number\n"
        ".if .Lrow == 0 && .Lpair == .Lstride * \\number / 2\n"
        ".if .Lstride == 1\nek_taps_of_stride_1 \\sum, \\bias\n"
        ".else\nek_taps_of_stride_2 \\sum, \\bias\n.endif\n"
        ".elseif .Lstride == 1\nek_taps_of_stride_1 \\sum, \\sum\n"
        ".else\nek_taps_of_stride_2 \\sum, \\sum\n.endif\n"
        ".endif\n"
        ".endm\n"
        ".macro ek_sums_of_row bias, row\n"
        ".set .Lpair, 0\n"
        ".rept ((.Lpixels - 1) * .Lstride + .Lkernel + 1) / 2\n"
        ".if .Lpair & 1\nsxtb16 r7, r1, ror #8\n.else\nek_load_word \\row\nsxtb16 r7, r1\n.endif\n"
        "ek_pixel 0, r8, \\bias\nek_pixel 1, r9, \\bias\n"
        "ek_pixel 2, r10, \\bias\nek_pixel 3, r11, \\bias\n"
        ".set .Lpair, .Lpair + 1\n"
        ".endr\n"
        ".endm\n"
        ".macro ek_load_word row\n" /* groups leave the row at the first word of the next group */
        ".if .Lpixels < 4\nldr r1, [\\row, #2 * .Lpair]\n"
        ".elseif .Lpair / 2 < .Lstride\nldr r1, [\\row], #4\n"
        ".else\nldr r1, [\\row, #2 * .Lpair - 4 * .Lstride]\n.endif\n"
        ".endm\n");
__asm__(".macro ek_sums kernel, stride, held, pixels, bias, weights:vararg\n"
        ".set .Lkernel, \\kernel\n.set .Lstride, \\stride\n.set .Lpixels, \\pixels\n"
        "ldr \\bias, [r3, #4 * \\kernel * .Lrow_words]\n"
        ".set .Lrow, 0\n"
        ".rept \\kernel\n"
        "ldm r3!, {\\weights}\n"
        ".if .Lrow == \\held - 1\nek_sums_of_row \\bias, lr\n"
        ".elseif .Lrow == \\held - 2\nek_sums_of_row \\bias, r12\n"
        ".elseif .Lrow == \\held - 3\nek_sums_of_row \\bias, r6\n"
        ".else\n"
        "ldr r0, [sp, #" SLOT_INPUTS " + 4 * .Lrow]\n"
        "ek_sums_of_row \\bias, r0\n"
        ".if .Lpixels == 4\nstr r0, [sp, #" SLOT_INPUTS " + 4 * .Lrow]\n.endif\n"
        ".endif\n"
        ".set .Lrow, .Lrow + 1\n"
        ".endr\n"
        "sub r3, r3, #4 * \\kernel * .Lrow_words + 12\n"
        ".endm\n"
        ".macro ek_hold held\n"
        ".if \\held >= 3\nldr r6, [sp, #" SLOT_INPUTS " + 4 * \\held - 12]\n.endif\n"
        ".if \\held >= 2\nldrd r12, lr, [sp, #" SLOT_INPUTS " + 4 * \\held - 8]\n.endif\n"
        ".endm\n"
        ".macro ek_next_channel kernel, held\n" /* in memory, two rows at a time */
        ".if \\held >= 3\nadd r6, r6, r7\n.endif\n"
        ".if \\held >= 2\nadd r12, r12, r7\nadd lr, lr, r7\n.endif\n"
        ".set .Lrow, \\held\n"
        ".rept (\\kernel - \\held + 1) / 2\n"
        "ldrd r0, r1, [sp, #" SLOT_INPUTS " + 4 * .Lrow]\n"
        "add r0, r0, r7\nadd r1, r1, r7\n"
        "strd r0, r1, [sp, #" SLOT_INPUTS " + 4 * .Lrow]\n"
        ".set .Lrow, .Lrow + 2\n"
        ".endr\n"
        ".endm\n");

/* r3 comes back at the weights. */
#define AT_ZERO_POINT(P)                                                                           \
  "ldm r3!, {r0, r1, r7}\n" PIXELS_##P(SCALE) PIXELS_##P(SHIFT) PIXELS_##P(SATURATE)
#define LINEAR(P)                                                                                  \
  "ldrd r0, r1, [r3], #12\n" PIXELS_##P(SCALE_NUDGED) "ldr r7, [r3, #-4]\n" PIXELS_##P(SHIFT)     \
      PIXELS_##P(SATURATE)
#define CLAMPED(P, kernel)                                                                         \
  LINEAR(P) "ldrd r0, r1, [r3, #4 * " kernel " * .Lrow_words + 4]\n" PIXELS_##P(CLAMP)


#define ROW_BEGIN(name, words, held)                                                               \
  SECTION(name)                                                                                    \
  ".thumb\n.balign 4\n"                                                                            \
  ".global " name "\n"                                                                             \
  ".type " name ", %function\n"                                                                    \
  ".thumb_func\n" name ":\n"                                                                       \
  ".set .Lrow_words, " words "\n"                                                                 \
  "stm r2, {r4-r11, lr}\n"                                                                         \
  "str r2, " SLOT_SAVED "\n"                                                                       \
  "ldr r4, " SLOT_PACKED_END "\n"                                                                  \
  "add r4, r4, #12\n"                                                                              \
  "str r4, " SLOT_PACKED_END "\n"                                                                  \
  "add r3, r3, #12\n"                                                                              \
  "adr.w r5, 7f\n"                                                                                 \
  "ldr r4, [r5, r1, lsl #2]\n"                                                                     \
  "add r1, r1, r1, lsl #1\n"                                                                       \
  "add r1, r1, r0\n"                                                                               \
  "add r6, r5, #16\n"                                                                              \
  "ldr r7, [r6, r1, lsl #2]\n"                                                                     \
  "ldr r6, [r6, r0, lsl #2]\n"                                                                     \
  "add r4, r4, r5\n"                                                                               \
  "add r6, r6, r5\n"                                                                               \
  "add r7, r7, r5\n"                                                                               \
  "strd r4, r6, " SLOT_TAIL "\n"                                                                   \
  "str r7, " SLOT_FINISH_TAIL "\n"                                                                 \
  "ek_hold " held "\n"

#define ROW_GROUPS(name, kernel, stride, held, weights)                                                  \
  "1:\n" BEGIN_CHANNEL                                                                             \
  "2:\n"                                                                                           \
  "ek_sums " kernel ", " stride ", " held ", 4, r11, " weights "\n"                                          \
  "ldr pc, " SLOT_FINISH_GROUP "\n"                                                                \
  "10:\n" AT_ZERO_POINT(4) NEXT_GROUP "ldr pc, " SLOT_TAIL "\n"                                    \
  "11:\n" LINEAR(4) NEXT_GROUP "ldr pc, " SLOT_TAIL "\n"                                           \
  "12:\n" CLAMPED(4, kernel) NEXT_GROUP                                                            \
  "3:\n"                                                                                           \
  "ldr pc, " SLOT_TAIL "\n"                                                                        \
  ".popsection\n"

#define ROW_TAIL(name, label, P, bias, kernel, stride, held, weights)                                    \
  SECTION(name)                                                                                    \
  label ":\n"                                                                                      \
  "ek_sums " kernel ", " stride ", " held ", " #P ", " bias ", " weights "\n"                                \
  "ldr pc, " SLOT_FINISH_TAIL "\n"                                                                 \
  label "0:\n" AT_ZERO_POINT(P) STORE_##P "b.w 8f\n"                                               \
  label "1:\n" LINEAR(P) STORE_##P "b.w 8f\n"                                                      \
  label "2:\n" CLAMPED(P, kernel) STORE_##P "b.w 8f\n"                                             \
  ".popsection\n"

#define ROW_END(name, kernel, held)                                                                      \
  SECTION(name)                                                                                    \
  "8:\n"                                                                                           \
  "ldr r7, " SLOT_INPUT_GAP "\n"                                                                   \
  "ldrd r8, r9, " SLOT_PACKED_BYTES "\n"                                                           \
  "add r3, r3, r8\n"                                                                               \
  "ek_next_channel " kernel ", " held "\n"                                                                   \
  "cmp r3, r9\n"                                                                                   \
  "bne.w 1b\n"                                                                                     \
  "ldr r12, " SLOT_SAVED "\n"                                                                      \
  "ldm r12, {r4-r11, pc}\n"                                                                        \
  ".balign 4\n"                                                                                    \
  "7:\n"                                                                                           \
  ".word 8b - 7b + 1, 4b - 7b + 1, 5b - 7b + 1, 6b - 7b + 1\n"                                     \
  ".word 10b - 7b + 1, 11b - 7b + 1, 12b - 7b + 1\n"                                               \
  ".word 40b - 7b + 1, 41b - 7b + 1, 42b - 7b + 1\n"                                               \
  ".word 50b - 7b + 1, 51b - 7b + 1, 52b - 7b + 1\n"                                               \
  ".word 60b - 7b + 1, 61b - 7b + 1, 62b - 7b + 1\n"                                               \
  ".size " name ", . - " name "\n"                                                                 \
  ".popsection\n"

/* In parts, because C99 promises no longer strings than 4095 bytes. */
#define ROW(name, kernel, stride, words, held, weights)                                            \
  __asm__(ROW_BEGIN(name, words, held) ROW_GROUPS(name, kernel, stride, held, weights));           \
  __asm__(ROW_TAIL(name, "4", 1, "r8", kernel, stride, held, weights));                            \
  __asm__(ROW_TAIL(name, "5", 2, "r9", kernel, stride, held, weights));                            \
  __asm__(ROW_TAIL(name, "6", 3, "r10", kernel, stride, held, weights));                           \
  __asm__(ROW_END(name, kernel, held))

ROW("ek_dsp_depthwise_5x5s1", "5", "1", "4", "2", "r2, r4, r5, r6");
ROW("ek_dsp_depthwise_5x5s2", "5", "2", "3", "3", "r2, r4, r5");
ROW("ek_dsp_depthwise_7x7s1", "7", "1", "6", "0", "r2, r4, r5, r6, r12, lr");
ROW("ek_dsp_depthwise_7x7s2", "7", "2", "4", "2", "r2, r4, r5, r6");

/* clang-format on */

#endif
