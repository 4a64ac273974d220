/* SPDX-License-Identifier: Apache-2.0 */
/* Start-up of a program that QEMU loads whole on an emulated Cortex-M: vectors, FPU, .bss, faults.
 *
 * A fault prints the exception number, the faulting address and CFSR on the semihosting console and
 * ends QEMU with EK_EXIT_FAULT. ek_stack_top, ek_bss_start and ek_bss_end come from the linker
 * script. */
#include "semihosting.h"

#include <stdint.h>

#define EK_EXIT_FAULT 99u

#define CPACR (*(volatile uint32_t *)0xE000ED88u) /* access to coprocessors */
#define CCR (*(volatile uint32_t *)0xE000ED14u)   /* configuration and control */
#define CFSR (*(volatile uint32_t *)0xE000ED28u)  /* configurable fault status */
#define CPACR_FPU_AND_MVE (0xFu << 20)
#define CCR_CACHES_AND_BRANCH_PREDICTION (0x3u << 17)
#define CCR_LOW_OVERHEAD_LOOPS (1u << 19)

extern uint32_t ek_stack_top, ek_bss_start, ek_bss_end;

int main(void);
void Reset_Handler(void);
void Fault_Handler(void);
void ek_report_fault(const uint32_t *frame);

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

/* frame: r0-r3, r12, lr, pc, xpsr as the core stacked them */
__attribute__((used, noreturn)) void ek_report_fault(const uint32_t *frame) {
  char line[96];
  uint32_t exception;
  __asm__ volatile("mrs %0, ipsr" : "=r"(exception));
  char *at = write_text(line, "fault: exception 0x");
  at = write_hex(at, exception);
  at = write_text(at, " at pc 0x");
  at = write_hex(at, frame[6]);
  at = write_text(at, ", cfsr 0x");
  at = write_hex(at, CFSR);
  at = write_text(at, "\n");
  *at = '\0';
  ek_semihosting_write_text(line);
  ek_semihosting_exit(EK_EXIT_FAULT);
}

__attribute__((naked)) void Fault_Handler(void) {
  __asm__ volatile("mrs r0, msp\n"
                   "bl ek_report_fault\n");
}

__attribute__((noreturn)) void Reset_Handler(void) {
  CPACR |= CPACR_FPU_AND_MVE;
  CCR |= CCR_CACHES_AND_BRANCH_PREDICTION;
  CCR |= CCR_LOW_OVERHEAD_LOOPS;
  __asm__ volatile("dsb\nisb" ::: "memory");
  for (volatile uint32_t *word = &ek_bss_start; word < &ek_bss_end; word++)
    *word = 0;
  ek_semihosting_exit((uint32_t)main());
}

__attribute__((section(".vectors"), used)) const void *const ek_vectors[16] = {
    &ek_stack_top,
    (const void *)Reset_Handler,
    (const void *)Fault_Handler, /* NMI */
    (const void *)Fault_Handler, /* hard fault */
    (const void *)Fault_Handler, /* memory management */
    (const void *)Fault_Handler, /* bus fault */
    (const void *)Fault_Handler, /* usage fault */
    (const void *)Fault_Handler, /* secure fault */
    0,
    0,
    0,
    (const void *)Fault_Handler, /* SVCall */
    (const void *)Fault_Handler, /* debug monitor */
    0,
    (const void *)Fault_Handler, /* PendSV */
    (const void *)Fault_Handler, /* SysTick */
};
