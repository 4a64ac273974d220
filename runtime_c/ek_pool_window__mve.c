/* SPDX-License-Identifier: Apache-2.0 */
#include "ek_pool_window.h"

#if defined(__ARM_FEATURE_MVE)

#include <arm_mve.h>

/* Loops over the taps of a row in assembly: GCC 12 moves the predicate of the channels to a core
 * register and back for every tap (9 instead of 5 instructions). */
enum { CHANNELS_OF_16_BITS = 8, CHANNELS_OF_32_BITS = 4 };

static const int8_t *row_of(const ek_pool_window *window, int32_t row, int32_t channel) {
  return (const int8_t *)window->rows[row] + window->first_byte + channel;
}

/* One row of taps of the channels of a vector, of which those of predicate are read. GCC 12 has no
 * name for the predicate register; nothing else is ever in it here. */
#define TAPS(load, accumulate)                                                                     \
  __asm__ volatile("vmsr p0, %[predicate]\n"                                                       \
                   "dls lr, %[taps]\n"                                                             \
                   "1:\n"                                                                          \
                   "vpst\n" load " q0, [%[in]]\n"                                                  \
                   "add %[in], %[in], %[step]\n" accumulate " %q[result], %q[result], q0\n"        \
                   "le lr, 1b\n"                                                                   \
                   : [in] "+l"(in), [result] "+w"(result)                                          \
                   : [taps] "r"(window->columns), [step] "r"(window->tap_bytes),                   \
                     [predicate] "r"((uint32_t)predicate)                                          \
                   : "q0", "lr", "memory")

static int8x16_t largest_of_row(const ek_pool_window *window, const int8_t *in,
                                mve_pred16_t predicate, int8x16_t result) {
  TAPS("vldrbt.u8", "vmax.s8");
  return result;
}

static int16x8_t sum_of_row(const ek_pool_window *window, const int8_t *in, mve_pred16_t predicate,
                            int16x8_t result) {
  TAPS("vldrbt.s16", "vadd.i16");
  return result;
}

static int32x4_t wide_sum_of_row(const ek_pool_window *window, const int8_t *in,
                                 mve_pred16_t predicate, int32x4_t result) {
  TAPS("vldrbt.s32", "vadd.i32");
  return result;
}

void ek_pool_largest(const ek_pool_window *window, int32_t channels, const int8_t *initial,
                     int8_t *output) {
  for (int32_t c = 0; c < channels; c += 16) {
    const mve_pred16_t predicate = vctp8q((uint32_t)(channels - c));
    int8x16_t largest = initial != NULL ? vldrbq_z_s8(initial + c, predicate) : vdupq_n_s8(-128);
    for (int32_t row = 0; row < window->row_count; row++) {
      largest = largest_of_row(window, row_of(window, row, c), predicate, largest);
    }
    vstrbq_p_s8(output + c, largest, predicate);
  }
}

/* Means of 8 sums, in 16 bits: ek_pool_mean. */
static int16x8_t means(ek_pool_divisor divisor, int16x8_t sums) {
  const int16x8_t halves = vandq_s16(vshrq_n_s16(sums, 15), vdupq_n_s16((int16_t)divisor.even));
  const uint16x8_t dividends =
      vreinterpretq_u16_s16(vaddq_n_s16(vaddq_s16(sums, halves), (int16_t)(uint16_t)divisor.bias));
  const uint32x4_t even = vmulq_n_u32(vmovlbq_u16(dividends), divisor.reciprocal);
  const uint32x4_t odd = vmulq_n_u32(vmovltq_u16(dividends), divisor.reciprocal);
  uint16x8_t quotients = vdupq_n_u16(0);
  quotients = vmovnbq_u32(quotients, vshrq_n_u32(even, EK_POOL_RECIPROCAL_BITS));
  quotients = vmovntq_u32(quotients, vshrq_n_u32(odd, EK_POOL_RECIPROCAL_BITS));
  return vsubq_n_s16(vreinterpretq_s16_u16(quotients), 128);
}

void ek_pool_means(const ek_pool_window *window, int32_t channels, ek_pool_divisor divisor,
                   int32_t outside, int8_t *output) {
  for (int32_t c = 0; c < channels; c += CHANNELS_OF_16_BITS) {
    const mve_pred16_t predicate = vctp16q((uint32_t)(channels - c));
    int16x8_t sums = vdupq_n_s16((int16_t)outside);
    for (int32_t row = 0; row < window->row_count; row++) {
      sums = sum_of_row(window, row_of(window, row, c), predicate, sums);
    }
    vstrbq_p_s16(output + c, means(divisor, sums), predicate);
  }
}

void ek_pool_add(const ek_pool_window *window, int32_t channels, int32_t *sums) {
  for (int32_t c = 0; c < channels; c += CHANNELS_OF_32_BITS) {
    const mve_pred16_t predicate = vctp32q((uint32_t)(channels - c));
    int32x4_t sum = vldrwq_z_s32(sums + c, predicate);
    for (int32_t row = 0; row < window->row_count; row++) {
      sum = wide_sum_of_row(window, row_of(window, row, c), predicate, sum);
    }
    vstrwq_p_s32(sums + c, sum, predicate);
  }
}

#endif
