/* SPDX-License-Identifier: Apache-2.0 */
/* Arm semihosting, which RISC-V has taken over: files, console and exit of the machine that
 * emulates the core.
 *
 * Calls as in "Semihosting for AArch32 and AArch64" (Arm, 2.0); only what the firmware needs. */
#ifndef EK_SEMIHOSTING_H
#define EK_SEMIHOSTING_H

#include <stddef.h>
#include <stdint.h>

enum {
  EK_SYS_OPEN = 0x01,
  EK_SYS_CLOSE = 0x02,
  EK_SYS_WRITE0 = 0x04,
  EK_SYS_WRITE = 0x05,
  EK_SYS_READ = 0x06,
  EK_SYS_EXIT_EXTENDED = 0x20,
  EK_OPEN_READ_BINARY = 1,
  EK_OPEN_WRITE_BINARY = 5
};
#define EK_APPLICATION_EXIT 0x20026u

/* Copies the stack pointer into operand 0. */
#if defined(__riscv)
#define EK_READ_STACK_POINTER "mv %0, sp"
#else
#define EK_READ_STACK_POINTER "mov %0, sp"
#endif

/* On RISC-V three instructions of 4 bytes each in one page are the call. */
#if defined(__riscv)
static inline uint32_t ek_semihosting_call(uint32_t operation, const void *block) {
  register uint32_t a0 __asm__("a0") = operation;
  register const void *a1 __asm__("a1") = block;
  __asm__ volatile(".balign 16\n"
                   ".option push\n"
                   ".option norvc\n"
                   "slli zero, zero, 0x1f\n"
                   "ebreak\n"
                   "srai zero, zero, 7\n"
                   ".option pop\n"
                   : "+r"(a0)
                   : "r"(a1)
                   : "memory");
  return a0;
}
#else
static inline uint32_t ek_semihosting_call(uint32_t operation, const void *block) {
  register uint32_t r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = block;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}
#endif

/* Handle of the file, negative when it cannot be opened. name_bytes is without the closing 0. */
static inline int32_t ek_semihosting_open(const char *name, size_t name_bytes, uint32_t mode) {
  const uint32_t block[3] = {(uint32_t)name, mode, (uint32_t)name_bytes};
  return (int32_t)ek_semihosting_call(EK_SYS_OPEN, block);
}

static inline void ek_semihosting_close(int32_t handle) {
  const uint32_t block[1] = {(uint32_t)handle};
  (void)ek_semihosting_call(EK_SYS_CLOSE, block);
}

/* Number of bytes that could not be read: 0 is success. */
static inline uint32_t ek_semihosting_read(int32_t handle, void *destination, size_t bytes) {
  const uint32_t block[3] = {(uint32_t)handle, (uint32_t)destination, (uint32_t)bytes};
  return ek_semihosting_call(EK_SYS_READ, block);
}

/* Number of bytes that could not be written: 0 is success. */
static inline uint32_t ek_semihosting_write(int32_t handle, const void *source, size_t bytes) {
  const uint32_t block[3] = {(uint32_t)handle, (uint32_t)source, (uint32_t)bytes};
  return ek_semihosting_call(EK_SYS_WRITE, block);
}

static inline void ek_semihosting_write_text(const char *text) {
  (void)ek_semihosting_call(EK_SYS_WRITE0, text);
}

__attribute__((noreturn)) static inline void ek_semihosting_exit(uint32_t code) {
  const uint32_t block[2] = {EK_APPLICATION_EXIT, code};
  for (;;)
    (void)ek_semihosting_call(EK_SYS_EXIT_EXTENDED, block);
}

#endif
