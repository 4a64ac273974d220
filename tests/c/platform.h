/* SPDX-License-Identifier: Apache-2.0 */
/* What the test programs need of the machine that they run on. */
#ifndef PLATFORM_H
#define PLATFORM_H

#include <stddef.h>
#include <stdint.h>

/* Makes the machine as strict as it can be. */
void platform_begin(void);

/* Memory whose end is the end of what may be read: a read behind it stops the program. The last one
 * handed out is gone with the next call. */
int8_t *platform_fenced(size_t bytes);

/* No one reads these bytes from now on, as far as the machine can tell. */
void platform_close(const int8_t *bytes, size_t count);

/* Prints a line. */
void platform_print(const char *text);

#endif
