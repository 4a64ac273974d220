/* SPDX-License-Identifier: Apache-2.0 */
#include "platform.h"

#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(bytes, count) ((void)(bytes), (void)(count))
#endif

static int8_t *fenced;

void platform_begin(void) {}

/* AddressSanitizer stands behind the heap block. */
int8_t *platform_fenced(size_t bytes) {
  free(fenced);
  fenced = malloc(bytes);
  return fenced;
}

void platform_close(const int8_t *bytes, size_t count) { ASAN_POISON_MEMORY_REGION(bytes, count); }

void platform_print(const char *text) { puts(text); }
