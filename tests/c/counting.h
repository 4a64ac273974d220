/* SPDX-License-Identifier: Apache-2.0 */
/* Marks for the counting plugin around parts of a test program; nothing on the host. */
#ifndef COUNTING_H
#define COUNTING_H

#if defined(__arm__)
#include "profile_hook.h"
#define COUNT_MARK(kind)                                                                           \
  __asm__ volatile("1: nop\n2:\n.pushsection .ek_marks, \"\", %%progbits\n"                        \
                   ".4byte " #kind ", 1b, 2b, 0\n.popsection" ::                                   \
                       : "memory")
#define COUNT_START() COUNT_MARK(0)
#define COUNT_STOP() COUNT_MARK(1)
#define COUNT_PART(index) EK_LAYER_HOOK(index)
#else
#define COUNT_START() ((void)0)
#define COUNT_STOP() ((void)0)
#define COUNT_PART(index) ((void)(index))
#endif

#endif
