/* SPDX-License-Identifier: Apache-2.0 */
/* EK_LAYER_HOOK for profiling: marks in the code where a layer begins (-1: back to glue).
 *
 * Included before every source of the model. A constant index is one nop whose address and index
 * are listed in .ek_marks. A run-time index is a byte load from (address of the mark + index),
 * which tells the counting plugin the index without reading registers; it changes no register (on
 * RISC-V, t1) and no flag (in GCC's old syntax for ARMv6-M, mov would). Either form may be inlined,
 * unrolled or duplicated, and its own instructions are left out of the counts. */
#ifndef EK_PROFILE_HOOK_H
#define EK_PROFILE_HOOK_H

/* kind, first address, end address, value; kinds as in plugin.py: 2 constant, 3 run-time index */
#if defined(__riscv)
#define EK_LAYER_HOOK(index)                                                                       \
  do {                                                                                             \
    if (__builtin_constant_p(index)) {                                                             \
      __asm__ volatile("1: nop\n"                                                                  \
                       "2:\n"                                                                      \
                       ".pushsection .ek_marks, \"\", %%progbits\n"                                \
                       ".4byte 2, 1b, 2b, %c0\n"                                                   \
                       ".popsection"                                                               \
                       :                                                                           \
                       : "i"(index));                                                              \
    } else {                                                                                       \
      __asm__ volatile("1: auipc t1, 0\n"                                                          \
                       "3: add t1, t1, %0\n"                                                       \
                       "lbu t1, 8(t1)\n"                                                           \
                       "2:\n"                                                                      \
                       ".pushsection .ek_marks, \"\", %%progbits\n"                                \
                       ".4byte 3, 1b, 2b, 3b\n"                                                    \
                       ".popsection"                                                               \
                       :                                                                           \
                       : "r"(index)                                                                \
                       : "t1");                                                                    \
    }                                                                                              \
  } while (0)
#else
#define EK_LAYER_HOOK(index)                                                                       \
  do {                                                                                             \
    if (__builtin_constant_p(index)) {                                                             \
      __asm__ volatile("1: nop\n"                                                                  \
                       "2:\n"                                                                      \
                       ".pushsection .ek_marks, \"\", %%progbits\n"                                \
                       ".4byte 2, 1b, 2b, %c0\n"                                                   \
                       ".popsection"                                                               \
                       :                                                                           \
                       : "i"(index));                                                              \
    } else {                                                                                       \
      __asm__ volatile(".syntax unified\n1: push {r0}\n"                                           \
                       "mov r0, %0\n"                                                              \
                       "3: add r0, pc\n"                                                           \
                       "ldrb r0, [r0]\n"                                                           \
                       "pop {r0}\n"                                                                \
                       "2:\n"                                                                      \
                       ".pushsection .ek_marks, \"\", %%progbits\n"                                \
                       ".4byte 3, 1b, 2b, 3b\n"                                                    \
                       ".popsection"                                                               \
                       :                                                                           \
                       : "r"(index));                                                              \
    }                                                                                              \
  } while (0)
#endif

#endif
