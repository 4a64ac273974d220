/* SPDX-License-Identifier: Apache-2.0 */
/* string.h where the compiler comes without a C library: what generated projects use of it. */
#ifndef EK_STRING_H
#define EK_STRING_H

#include <stddef.h>

void *memcpy(void *restrict destination, const void *restrict source, size_t count);
void *memset(void *destination, int value, size_t count);

#endif
