/* SPDX-License-Identifier: Apache-2.0 */
#include "platform.h"

#include <stdio.h>
#include <stdlib.h>

static int8_t *fenced;

/* AddressSanitizer stands behind the heap block. */
int8_t *platform_fenced(size_t bytes) {
  free(fenced);
  fenced = malloc(bytes);
  return fenced;
}

void platform_print(const char *text) { puts(text); }
