/* SPDX-License-Identifier: Apache-2.0 */
/* Single DSP instructions on words of four bytes or two halves, for the __arm files of kernels.
 * Where GCC's intrinsic would be no better or cost a rotation, it is assembly. */
#ifndef EK_DSP_WORDS_H
#define EK_DSP_WORDS_H

#if defined(__ARM_FEATURE_DSP)

#include <stdint.h>
#include <string.h>

static inline uint32_t ek_load_word(const int8_t *bytes) {
  uint32_t word;
  memcpy(&word, bytes, sizeof word);
  return word;
}

static inline void ek_store_word(int8_t *bytes, uint32_t word) {
  memcpy(bytes, &word, sizeof word);
}

/* addend + floor(weight * half / 2^16), half being the low or the high one of lanes */
static inline int32_t ek_smlawb(int32_t weight, uint32_t lanes, int32_t addend) {
  int32_t sum;
  __asm__("smlawb %0, %1, %2, %3" : "=r"(sum) : "r"(weight), "r"(lanes), "r"(addend));
  return sum;
}

static inline int32_t ek_smlawt(int32_t weight, uint32_t lanes, int32_t addend) {
  int32_t sum;
  __asm__("smlawt %0, %1, %2, %3" : "=r"(sum) : "r"(weight), "r"(lanes), "r"(addend));
  return sum;
}

/* The bytes 0 and 2 of word as halves, each added to that of lanes. */
static inline uint32_t ek_add_even_bytes(uint32_t lanes, uint32_t word) {
  uint32_t sums;
  __asm__("sxtab16 %0, %1, %2" : "=r"(sums) : "r"(lanes), "r"(word));
  return sums;
}

/* The bytes 1 and 3. */
static inline uint32_t ek_add_odd_bytes(uint32_t lanes, uint32_t word) {
  uint32_t sums;
  __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(sums) : "r"(lanes), "r"(word));
  return sums;
}

/* Sums of halves. */
static inline uint32_t ek_add_halves(uint32_t a, uint32_t b) {
  uint32_t sums;
  __asm__("sadd16 %0, %1, %2" : "=r"(sums) : "r"(a), "r"(b));
  return sums;
}

/* Product of the low halves. */
static inline int32_t ek_smulbb(uint32_t a, uint32_t b) {
  int32_t product;
  __asm__("smulbb %0, %1, %2" : "=r"(product) : "r"(a), "r"(b));
  return product;
}

/* Product of the high halves. */
static inline int32_t ek_smultt(uint32_t a, uint32_t b) {
  int32_t product;
  __asm__("smultt %0, %1, %2" : "=r"(product) : "r"(a), "r"(b));
  return product;
}

/* addend + a * b / 2^32, ties up */
static inline int32_t ek_smmlar(int32_t a, int32_t b, int32_t addend) {
  int32_t sum;
  __asm__("smmlar %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(addend));
  return sum;
}

/* int8_t saturation of value */
static inline int32_t ek_saturate(int32_t value) {
  int32_t saturated;
  __asm__("ssat %0, #8, %1" : "=r"(saturated) : "r"(value));
  return saturated;
}

/* Sums of bytes, each saturated to int8_t. */
static inline int32_t ek_qadd8(int32_t a, int32_t b) {
  int32_t sum;
  __asm__("qadd8 %0, %1, %2" : "=r"(sum) : "r"(a), "r"(b));
  return sum;
}

/* Of each byte: if_so where a >= b, else if_not; signed. */
static inline uint32_t ek_select_at_least(uint32_t a, uint32_t b, uint32_t if_so, uint32_t if_not) {
  uint32_t selected;
  __asm__("ssub8 %0, %1, %2\n\tsel %0, %3, %4"
          : "=&r"(selected)
          : "r"(a), "r"(b), "r"(if_so), "r"(if_not)
          : "cc");
  return selected;
}

#endif

#endif
