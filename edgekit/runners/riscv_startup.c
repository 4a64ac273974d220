/* SPDX-License-Identifier: Apache-2.0 */
/* Start-up of a program that QEMU loads whole on an emulated RISC-V machine, which begins at the
 * start of its memory: stack, traps, .bss; and what a compiler without a C library leaves open.
 *
 * A trap prints its cause and the faulting address on the semihosting console and ends QEMU with
 * EK_EXIT_FAULT. ek_stack_top, ek_bss_start and ek_bss_end come from the linker script. */
#include "semihosting.h"

#include <string.h>

#define EK_EXIT_FAULT 99u

extern uint32_t ek_bss_start, ek_bss_end;

int main(void);
void ek_start(void);
void ek_report_trap(uint32_t cause, uint32_t pc);

__asm__(".pushsection .vectors, \"ax\", @progbits\n"
        ".option push\n"
        ".option arch, +zicsr\n"
        ".global Reset_Handler\n"
        "Reset_Handler:\n"
        "la sp, ek_stack_top\n"
        "la t0, 1f\n"
        "csrw mtvec, t0\n"
        "j ek_start\n"
        ".balign 4\n"
        "1:\n"
        "la sp, ek_stack_top\n"
        "csrr a0, mcause\n"
        "csrr a1, mepc\n"
        "j ek_report_trap\n"
        ".option pop\n"
        ".popsection");

static char *write_text(char *at, const char *text) {
  while (*text != '\0')
    *at++ = *text++;
  return at;
}

static char *write_hex(char *at, uint32_t value) {
  for (int digit = 7; digit >= 0; digit--)
    *at++ = "0123456789abcdef"[(value >> (4 * digit)) & 0xFu];
  return at;
}

__attribute__((used, noreturn)) void ek_report_trap(uint32_t cause, uint32_t pc) {
  char line[64];
  char *at = write_text(line, "fault: exception 0x");
  at = write_hex(at, cause);
  at = write_text(at, " at pc 0x");
  at = write_hex(at, pc);
  at = write_text(at, "\n");
  *at = '\0';
  ek_semihosting_write_text(line);
  ek_semihosting_exit(EK_EXIT_FAULT);
}

__attribute__((used, noreturn)) void ek_start(void) {
  for (volatile uint32_t *word = &ek_bss_start; word < &ek_bss_end; word++)
    *word = 0;
  ek_semihosting_exit((uint32_t)main());
}

/* GCC must not find its own memcpy in the loop of this one. */
#define AS_WRITTEN __attribute__((optimize("no-tree-loop-distribute-patterns")))

AS_WRITTEN void *memcpy(void *restrict destination, const void *restrict source, size_t count) {
  uint8_t *to = (uint8_t *)destination;
  const uint8_t *from = (const uint8_t *)source;
  if ((((uintptr_t)to | (uintptr_t)from) & 3u) == 0) {
    for (; count >= 4; count -= 4, to += 4, from += 4)
      *(uint32_t *)(void *)to = *(const uint32_t *)(const void *)from;
  }
  for (; count > 0; count--)
    *to++ = *from++;
  return destination;
}

AS_WRITTEN void *memset(void *destination, int value, size_t count) {
  uint8_t *to = (uint8_t *)destination;
  for (; count > 0; count--)
    *to++ = (uint8_t)value;
  return destination;
}
