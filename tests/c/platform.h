/* SPDX-License-Identifier: Apache-2.0 */
/* What the test programs need of the machine that they run on. */
#ifndef PLATFORM_H
#define PLATFORM_H

#include <stddef.h>
#include <stdint.h>

/* Memory whose end is the end of what may be read: a read behind it stops the program. The last one
 * handed out is gone with the next call. */
int8_t *platform_fenced(size_t bytes);

/* Prints a line. */
void platform_print(const char *text);

#endif
