/* SPDX-License-Identifier: Apache-2.0 */
#include "platform.h"
#include "semihosting.h"

#if defined(__ARM_ARCH_6M__)
#define CCR (*(volatile uint32_t *)0xE000ED14u) /* configuration and control */
#define CCR_TRAP_UNALIGNED (1u << 3)

/* The emulated core is an Armv7-M one, which would let pass what no Armv6-M core does. */
void platform_begin(void) { CCR |= CCR_TRAP_UNALIGNED; }
#else
void platform_begin(void) {}
#endif

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
