/* SPDX-License-Identifier: Apache-2.0 */
/* What the entry points of a generated model return. */
#ifndef EK_STATUS_H
#define EK_STATUS_H

typedef enum {
  EK_OK = 0,
  EK_BAD_ARGUMENT = 1,  /* a NULL pointer, or an arena that is not aligned */
  EK_TOO_MANY_ROWS = 2, /* more rows pushed than the input has */
  EK_INCOMPLETE = 3     /* finished before all rows were pushed, or there are more slices to run */
} ek_status;

#if defined(__GNUC__)
#define EK_WARN_UNUSED __attribute__((warn_unused_result))
#else
#define EK_WARN_UNUSED
#endif

#endif
