/* SPDX-License-Identifier: Apache-2.0 */
/* How far a run has come that is done in slices. */
#ifndef EK_POSITION_H
#define EK_POSITION_H

#include "ek_status.h"

#include <stdint.h>

/* {0, 0} is the beginning. */
typedef struct {
  uint32_t entry; /* of the script; all entries in front of it are complete */
  uint32_t slice; /* of that entry; all slices in front of it are complete */
} ek_position;

#endif
