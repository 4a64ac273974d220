/* SPDX-License-Identifier: Apache-2.0 */
#include "platform.h"
#include "semihosting.h"

/* RAM_END: no memory lies behind it on the emulated machine, so that a read there faults. */
int8_t *platform_fenced(size_t bytes) { return (int8_t *)(uintptr_t)(RAM_END - bytes); }

void platform_print(const char *text) {
  ek_semihosting_write_text(text);
  ek_semihosting_write_text("\n");
}
