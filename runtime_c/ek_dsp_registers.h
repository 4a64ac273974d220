/* SPDX-License-Identifier: Apache-2.0 */
/* Where assembly keeps its caller's registers: lent by the caller, so that no assembly moves the
 * stack pointer and -fstack-usage sees every byte. */
#ifndef EK_DSP_REGISTERS_H
#define EK_DSP_REGISTERS_H

#include <stdint.h>

/* r4 to r11 and lr */
typedef struct {
  uint32_t words[9];
} ek_dsp_registers;

#endif
