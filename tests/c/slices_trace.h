/* SPDX-License-Identifier: Apache-2.0 */
/* Included in front of a model that runs in slices: prints which layer each slice works on. */
#ifndef SLICES_TRACE_H
#define SLICES_TRACE_H

#include <stdio.h>

#define EK_LAYER_HOOK(index) ((void)((index) < 0 ? 0 : printf("layer %d\n", (int)(index))))
#define EK_FIRED_HOOK(index, row) ((void)printf("fired %d %d\n", (int)(index), (int)(row)))

#endif
