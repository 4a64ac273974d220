/* SPDX-License-Identifier: Apache-2.0 */
#include "platform.h"
#include "semihosting.h"

#define WORD_AT(address) (*(volatile uint32_t *)(address))

/* These machines read 0 where they have no memory: the memory protection unit makes it a fault. */
#if defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_7M__) || defined(__ARM_ARCH_7EM__)
#define MPU_CONTROL WORD_AT(0xE000ED94u)
#define MPU_REGION WORD_AT(0xE000ED98u)
#define MPU_BASE WORD_AT(0xE000ED9Cu)
#define MPU_SIZE WORD_AT(0xE000EDA0u)
enum { MPU_ENABLE = 1, MPU_DEFAULT_MAP = 4, MPU_NO_ACCESS_TO_1_MIB = (19 << 1) | 1 };
static void close_behind(uint32_t end) {
  MPU_REGION = 0;
  MPU_BASE = end;
  MPU_SIZE = MPU_NO_ACCESS_TO_1_MIB;
  MPU_CONTROL = MPU_DEFAULT_MAP | MPU_ENABLE;
}
#else
static void close_behind(uint32_t end) { (void)end; }
#endif

void platform_begin(void) { close_behind(RAM_END); }

/* RAM_END: no memory lies behind it on the emulated machine, so that a read there faults. */
int8_t *platform_fenced(size_t bytes) { return (int8_t *)(uintptr_t)(RAM_END - bytes); }

void platform_close(const int8_t *bytes, size_t count) {
  (void)bytes;
  (void)count;
}

void platform_print(const char *text) {
  ek_semihosting_write_text(text);
  ek_semihosting_write_text("\n");
}
