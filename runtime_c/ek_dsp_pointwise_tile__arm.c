/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_dsp_pointwise_tile.h"

#if defined(__ARM_FEATURE_DSP)

#include <string.h>

static int32_t load_word(const int8_t *bytes) {
  int32_t word;
  memcpy(&word, bytes, sizeof word);
  return word;
}

static void store_word(int16_t *lanes, int32_t word) { memcpy(lanes, &word, sizeof word); }

/* The intrinsic would cost a rotation. */
static int32_t even_bytes(int32_t word) {
  int32_t lanes;
  __asm__("sxtb16 %0, %1" : "=r"(lanes) : "r"(word));
  return lanes;
}

static int32_t odd_bytes(int32_t word) {
  int32_t lanes;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(lanes) : "r"(word));
  return lanes;
}

/* One pixel. second: lanes from those of channels (k, k + 2) to (k + 1, k + 3). */
static int16_t *expand_1(const int8_t *pixels, const int8_t *end, int32_t second, int16_t *lanes) {
  for (; pixels != end; pixels += 4) {
    const int32_t word = load_word(pixels);
    store_word(lanes, even_bytes(word));
    store_word(lanes + second, odd_bytes(word));
    lanes += 2 * second;
  }
  return lanes;
}

int16_t *ek_dsp_expand_few(const int8_t *const *segments, const int8_t *const *segments_end,
                           int16_t *lanes, const ek_dsp_windows *windows, int32_t pixels) {
  const int32_t second = ek_dsp_lanes_per_group(pixels) / 2;
  const int32_t bytes = windows->segment_bytes;
  for (; segments != segments_end; segments++) {
    const int8_t *x = *segments;
    int16_t *behind = lanes;
    for (int32_t pixel = 0; pixel < pixels; pixel++, x += windows->pixel_step) {
      behind = expand_1(x, x + bytes, second, lanes + pixel * 2);
      if (windows->overlap != 0) {
        const int8_t *rest = x + (bytes - windows->overlap);
        behind = expand_1(rest, rest + 4, second, behind);
      }
    }
    lanes = behind - (pixels - 1) * 2;
  }
  return lanes;
}

/* Registers: r0 the segment's next word, r1 next segment, r2 pixel_step, r12 three times that, r3
 * lanes, lr end of the whole groups; r4-r7 words of the pixels, r8-r11 their even bytes. sp points
 * at the expansion, as in the tile below. */
/* clang-format off */
#define LOAD_WORDS                                                                                 \
  "ldr r5, [r0, r2]\n"                                                                             \
  "ldr r6, [r0, r2, lsl #1]\n"                                                                     \
  "ldr r7, [r0, r12]\n"                                                                            \
  "ldr r4, [r0], #4\n"
#define STORE_EVEN                                                                                 \
  "sxtb16 r8, r4\n"                                                                                \
  "sxtb16 r9, r5\n"                                                                                \
  "sxtb16 r10, r6\n"                                                                               \
  "sxtb16 r11, r7\n"                                                                               \
  "stm r3!, {r8-r11}\n"
#define TURN                                                                                       \
  "sxtb16 r4, r4, ror #8\n"                                                                        \
  "sxtb16 r5, r5, ror #8\n"                                                                        \
  "sxtb16 r6, r6, ror #8\n"                                                                        \
  "sxtb16 r7, r7, ror #8\n"

__asm__(".pushsection .text.ek_dsp_expand_4, \"ax\", %progbits\n"
        ".syntax unified\n.thumb\n.balign 4\n"
        ".global ek_dsp_expand_4\n"
        ".type ek_dsp_expand_4, %function\n"
        ".thumb_func\n"
        "ek_dsp_expand_4:\n"
        "stm r0, {r4-r11, lr}\n"
        "strd r2, r0, [sp, #12]\n"
        "ldr r2, [sp, #8]\n"
        "add r12, r2, r2, lsl #1\n"
        "1:\n"
        "ldr r0, [r1], #4\n"
        "ldr lr, [sp]\n"
        "add lr, lr, r0\n"
        "2:\n" LOAD_WORDS STORE_EVEN TURN
        "cmp r0, lr\n"
        "stm r3!, {r4-r7}\n"
        "bne 2b\n"
        "ldr r4, [sp, #4]\n"
        "cbz r4, 3f\n"
        "sub r0, r0, r4\n" LOAD_WORDS STORE_EVEN TURN
        "stm r3!, {r4-r7}\n"
        "3:\n"
        "ldr r4, [sp, #12]\n"
        "cmp r1, r4\n"
        "bne 1b\n"
        "mov r0, r3\n"
        "ldr r12, [sp, #16]\n"
        "ldm r12, {r4-r11, pc}\n"
        ".size ek_dsp_expand_4, . - ek_dsp_expand_4\n"
        ".popsection\n");
/* clang-format on */

/* Registers: r0 lanes, r1 packed, r2 and r3 lanes of two pixels, r12 packed weights, lr weights 0
 * (of one pixel: also r7 and r6);
 * r4/r5, r6/r7, r8/r9, r10/r11 sums of channels 0/1 of pixels 0 to 3. The stack pointer stays: sp
 * points at the tile, whose fields are the working space (SLOT_...); saved holds r4-r11 and lr. */
/* One line per line of assembly, which clang-format does not know. */
/* clang-format off */
#define SLOT_OUTPUT "[sp]"
#define SLOT_LANES "[sp, #20]"
#define SLOT_LANES_END "[sp, #24]"
#define SLOT_PACKED_END "[sp, #28]"
#define SLOT_LOOP_ENTRY "[sp, #32]"
#define SLOT_FINISH "[sp, #36]"
#define SLOT_SAVED "[sp, #40]"

/* Every instruction of a group is 4 bytes long: the loop is entered in its middle, so that its
 * unrolled groups need no remainder. The order serves the M7: the sums of channel 1 need no SXTB16
 * and go first, and a load stands beside the last use of what it replaces. */
#define LOW(sum, x) "smlad " sum ", " x ", lr, " sum "\n"
#define HIGH(sum, x) "smlad " sum ", " x ", r12, " sum "\n"
#define GROUP_1                                                                                    \
  "ldrd r12, r7, [r1], #8\n"                                                                       \
  "ldrd r2, r3, [r0], #8\n"                                                                        \
  "sxtb16 lr, r12\n"                                                                               \
  "sxtb16 r6, r7\n"                                                                                \
  HIGH("r5", "r2")                                                                                 \
  LOW("r4", "r2")                                                                                  \
  "smlad r5, r3, r7, r5\n"                                                                         \
  "smlad r4, r3, r6, r4\n"
#define WORD_2                                                                                     \
  "ldr r12, [r1], #4\n"                                                                            \
  "ldrd r2, r3, [r0], #16\n"                                                                       \
  "sxtb16 lr, r12\n"                                                                               \
  HIGH("r5", "r2")                                                                                 \
  HIGH("r7", "r3")                                                                                 \
  LOW("r4", "r2")                                                                                  \
  LOW("r6", "r3")
#define WORD_3                                                                                     \
  "ldr r12, [r1], #4\n"                                                                            \
  "ldrd r2, r3, [r0], #8\n"                                                                        \
  "sxtb16 lr, r12\n"                                                                               \
  HIGH("r5", "r2")                                                                                 \
  HIGH("r7", "r3")                                                                                 \
  LOW("r4", "r2")                                                                                  \
  "ldr r2, [r0], #8\n"                                                                             \
  LOW("r6", "r3")                                                                                  \
  HIGH("r9", "r2")                                                                                 \
  LOW("r8", "r2")
#define WORD_4_BEFORE_LOW(load)                                                                    \
  "ldr r12, [r1], #4\n"                                                                            \
  "ldrd r2, r3, [r0], #8\n"                                                                        \
  "sxtb16 lr, r12\n"                                                                               \
  HIGH("r5", "r2")                                                                                 \
  HIGH("r7", "r3")                                                                                 \
  LOW("r4", "r2")                                                                                  \
  LOW("r6", "r3")                                                                                  \
  "ldrd r2, r3, [r0], #8\n"                                                                        \
  HIGH("r9", "r2")                                                                                 \
  HIGH("r11", "r3")                                                                                \
  load LOW("r8", "r2")                                                                             \
  LOW("r10", "r3")
#define WORD_4 WORD_4_BEFORE_LOW("")
#define GROUP_2 WORD_2 WORD_2
#define GROUP_3 WORD_3 WORD_3
#define GROUP_4 WORD_4 WORD_4
#define LOAD_LANES_END "ldr r12, " SLOT_LANES_END "\n"
#define LAST_GROUP_1 GROUP_1 LOAD_LANES_END
#define LAST_GROUP_2 GROUP_2 LOAD_LANES_END
#define LAST_GROUP_3 GROUP_3 LOAD_LANES_END
#define LAST_GROUP_4 WORD_4 WORD_4_BEFORE_LOW(LOAD_LANES_END)

/* One step for the sums of every pixel of a tile. */
#define LOWS_1(step) step("r4")
#define LOWS_2(step) LOWS_1(step) step("r6")
#define LOWS_3(step) LOWS_2(step) step("r8")
#define LOWS_4(step) LOWS_3(step) step("r10")
#define HIGHS_1(step) step("r5")
#define HIGHS_2(step) HIGHS_1(step) step("r7")
#define HIGHS_3(step) HIGHS_2(step) step("r9")
#define HIGHS_4(step) HIGHS_3(step) step("r11")
#define PAIRS_1(step) step("r4", "r5")
#define PAIRS_2(step) PAIRS_1(step) step("r6", "r7")
#define PAIRS_3(step) PAIRS_2(step) step("r8", "r9")
#define PAIRS_4(step) PAIRS_3(step) step("r10", "r11")

#define SPREAD_BIAS_1 "mov r5, r4\n"
#define SPREAD_BIAS_2 SPREAD_BIAS_1 "mov r6, r4\nmov r7, r4\n"
#define SPREAD_BIAS_3 SPREAD_BIAS_2 "mov r8, r4\nmov r9, r4\n"
#define SPREAD_BIAS_4 SPREAD_BIAS_3 "mov r10, r4\nmov r11, r4\n"

/* r0 multiplier, r2 offset, r3 exponent, lr twice the bias of channel 1, then free */
#define SPLIT(low, high) "sub " high ", " high ", " low "\n"
#define DOUBLE(sum) "lsl " sum ", " sum ", #1\n"
#define DOUBLE_HIGH(sum) "add " sum ", lr, " sum ", asr #7\n"
#define ADD_BIAS(sum) "add " sum ", lr, " sum ", asr #8\n"
#define SCALE(sum) "smmlar " sum ", " sum ", r0, r2\n"
#define SCALE_NUDGED(sum) "add lr, r2, " sum ", asr #31\nsmmlar " sum ", " sum ", r0, lr\n"
#define SHIFT(sum) "asr " sum ", " sum ", r3\n"
#define SATURATE(sum) "ssat " sum ", #8, " sum "\n"
#define CLAMP(sum) "qadd8 " sum ", " sum ", r0\nsub " sum ", " sum ", r2\n"

/* Loads stand where the registers get free, ahead of what needs no load. */
#define LOAD_LOW "ldm r1!, {r0, r2, r3}\n"
#define LOAD_HIGH "ldm r1!, {r0, r2, r3, lr}\n"
#define LOAD_CLAMP "ldrd r0, r2, [r1], #8\n"
#define SCALE_LOW(P, scale) LOWS_##P(DOUBLE) LOWS_##P(scale) LOWS_##P(SHIFT)
#define SCALE_HIGH(P, scale) HIGHS_##P(DOUBLE_HIGH) HIGHS_##P(scale) HIGHS_##P(SHIFT)

#define LOAD_OUTPUT "ldm sp, {r0, r2, r3, r12, lr}\n" /* output, channel_step, pixel_offsets */
#define STORE_1(a) "strb " a ", [r0]\nadd r0, r0, r2\n"
#define STORE_2(a, b) "strb " b ", [r0, r3]\n" STORE_1(a)
#define STORE_3(a, b, c) "strb " c ", [r0, r12]\n" STORE_2(a, b)
#define STORE_4(a, b, c, d) "strb " d ", [r0, lr]\n" STORE_3(a, b, c)
#define LOAD_END "ldr r4, " SLOT_PACKED_END "\n"
#define STORE_PAIR_1 STORE_1("r4") LOAD_END STORE_1("r5")
#define STORE_PAIR_2 STORE_2("r4", "r6") LOAD_END STORE_2("r5", "r7")
#define STORE_PAIR_3 STORE_3("r4", "r6", "r8") LOAD_END STORE_3("r5", "r7", "r9")
#define STORE_PAIR_4 STORE_4("r4", "r6", "r8", "r10") LOAD_END STORE_4("r5", "r7", "r9", "r11")
#define STORE_SUMS_1 "stm r0!, {r4-r5}\n"
#define STORE_SUMS_2 "stm r0!, {r4-r7}\n"
#define STORE_SUMS_3 "stm r0!, {r4-r9}\n"
#define STORE_SUMS_4 "stm r0!, {r4-r11}\n"

#define NEXT_PAIR                                                                                  \
  "str r0, " SLOT_OUTPUT "\n"                                                                      \
  "cmp r1, r4\n"                                                                                   \
  "bne.w 2b\n"                                                                                     \
  "ldr r12, " SLOT_SAVED "\n"                                                                      \
  "ldm r12, {r4-r11, pc}\n"

#define FINISH_FAST(P, scale)                                                                      \
  LOAD_LOW PAIRS_##P(SPLIT)                                                                        \
  SCALE_LOW(P, scale)                                                                              \
  LOAD_HIGH LOWS_##P(SATURATE)                                                                     \
  SCALE_HIGH(P, scale)                                                                             \
  LOAD_OUTPUT HIGHS_##P(SATURATE)                                                                  \
  STORE_PAIR_##P NEXT_PAIR
#define FINISH_CLAMPED(P)                                                                          \
  LOAD_LOW PAIRS_##P(SPLIT)                                                                        \
  SCALE_LOW(P, SCALE_NUDGED)                                                                       \
  LOAD_CLAMP LOWS_##P(SATURATE) LOWS_##P(CLAMP)                                                    \
  LOAD_HIGH SCALE_HIGH(P, SCALE_NUDGED)                                                            \
  LOAD_CLAMP HIGHS_##P(SATURATE) HIGHS_##P(CLAMP)                                                  \
  LOAD_OUTPUT STORE_PAIR_##P NEXT_PAIR
#define FINISH_GENERAL(P)                                                                          \
  PAIRS_##P(SPLIT)                                                                                 \
  "ldr lr, [r1], #4\n" HIGHS_##P(ADD_BIAS)                                                         \
  "ldr r0, " SLOT_OUTPUT "\n"                                                                      \
  STORE_SUMS_##P LOAD_END NEXT_PAIR

#define SECTION(P) ".pushsection .text.ek_dsp_pointwise_tile_" #P ", \"ax\", %progbits\n"

#define TILE_SUMS(P, unrolled, group_bytes)                                                        \
  SECTION(P)                                                                                       \
  ".syntax unified\n.thumb\n.balign 4\n"                                                           \
  ".global ek_dsp_pointwise_tile_" #P "\n"                                                         \
  ".type ek_dsp_pointwise_tile_" #P ", %function\n"                                                \
  ".thumb_func\n"                                                                                  \
  "ek_dsp_pointwise_tile_" #P ":\n"                                                                \
  "stm r0, {r4-r11, lr}\n"                                                                         \
  "str r0, " SLOT_SAVED "\n"                                                                       \
  "rsb r2, r2, #0\n"                                                                               \
  "and r2, r2, #" #unrolled " - 1\n"                                                               \
  "mov r4, #" #group_bytes "\n"                                                                    \
  "adr.w r5, 1f\n"                                                                                 \
  "mla r2, r2, r4, r5\n"                                                                           \
  "adr.w r5, 3f\n"                                                                                 \
  "ldr r3, [r5, r3, lsl #2]\n"                                                                     \
  "add r3, r3, r5\n"                                                                               \
  "orr r2, r2, #1\n"                                                                               \
  "strd r2, r3, " SLOT_LOOP_ENTRY "\n"                                                             \
  "2:\n"                                                                                           \
  "ldr r4, [r1], #4\n"                                                                             \
  "ldr r0, " SLOT_LANES "\n" SPREAD_BIAS_##P "ldr pc, " SLOT_LOOP_ENTRY "\n"                       \
                                             "1:\n"                                                \
                                             ".rept " #unrolled " - 1\n" GROUP_##P ".endr\n" LAST_GROUP_##P \
      "cmp r0, r12\n"                                                                              \
      "bne.w 1b\n"                                                                                 \
      "ldr pc, " SLOT_FINISH "\n"                                                                  \
      ".popsection\n"

#define TILE_FAST(P)                                                                               \
  SECTION(P)                                                                                       \
  "4:\n" FINISH_FAST(P, SCALE) "5:\n" FINISH_FAST(P, SCALE_NUDGED) ".popsection\n"

#define TILE_OTHERS(P)                                                                             \
  SECTION(P)                                                                                       \
  "6:\n" FINISH_CLAMPED(P) "7:\n" FINISH_GENERAL(                                                  \
      P) ".balign 4\n"                                                                             \
         "3:\n"                                                                                    \
         ".word 4b - 3b + 1, 5b - 3b + 1, 6b - 3b + 1, 7b - 3b + 1\n"                              \
         ".size ek_dsp_pointwise_tile_" #P ", . - ek_dsp_pointwise_tile_" #P "\n"                  \
         ".popsection\n"

/* In parts, because C99 promises no longer strings than 4095 bytes. */
__asm__(TILE_SUMS(1, 8, 32));
__asm__(TILE_FAST(1));
__asm__(TILE_OTHERS(1));
__asm__(TILE_SUMS(2, 4, 56));
__asm__(TILE_FAST(2));
__asm__(TILE_OTHERS(2));
__asm__(TILE_SUMS(3, 4, 80));
__asm__(TILE_FAST(3));
__asm__(TILE_OTHERS(3));
__asm__(TILE_SUMS(4, 8, 96));
__asm__(TILE_FAST(4));
__asm__(TILE_OTHERS(4));

/* clang-format on */

#endif
