/* SPDX-License-Identifier: Apache-2.0 */
/* Included in front of a traced model: every firing of a layer calls back. */
#ifndef EK_HOST_TRACE_H
#define EK_HOST_TRACE_H

extern void (*ek_host_trace)(int index, int row);
#define EK_FIRED_HOOK(index, row) ek_host_trace(index, row)

#endif
