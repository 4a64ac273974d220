/* SPDX-License-Identifier: Apache-2.0 */
/* A hook in front of every layer: define it to trace or time a model on a board. */
#ifndef EK_HOOK_H
#define EK_HOOK_H

/* index: the layer's `index` in manifest.json, or -1 behind the last layer. */
#ifndef EK_LAYER_HOOK
#define EK_LAYER_HOOK(index) ((void)0)
#endif

#endif
