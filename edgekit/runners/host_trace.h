/* SPDX-License-Identifier: Apache-2.0 */
/* Included in front of a traced model: every layer hook calls back. */
#ifndef EK_HOST_TRACE_H
#define EK_HOST_TRACE_H

extern void (*ek_host_trace)(int index);
#define EK_LAYER_HOOK(index) ek_host_trace(index)

#endif
