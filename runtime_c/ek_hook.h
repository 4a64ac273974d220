/* SPDX-License-Identifier: Apache-2.0 */
/* Hooks around the work of every layer: define them to trace or time a model on a board. */
#ifndef EK_HOOK_H
#define EK_HOOK_H

/* In front of it. index: the layer's `index` in manifest.json, or -1 behind the last layer. */
#ifndef EK_LAYER_HOOK
#define EK_LAYER_HOOK(index) ((void)0)
#endif

/* Behind each firing; the layer's `completes` in manifest.json says what firing `row` completes. */
#ifndef EK_FIRED_HOOK
#define EK_FIRED_HOOK(index, row) ((void)0)
#endif

#endif
