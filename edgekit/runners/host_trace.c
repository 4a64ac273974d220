/* SPDX-License-Identifier: Apache-2.0 */
#include "host_trace.h"

void (*ek_host_trace)(int index, int row);
