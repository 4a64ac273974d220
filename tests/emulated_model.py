# SPDX-License-Identifier: Apache-2.0
"""A hand-written model folder as `edgekit convert` writes them, for tests of the runners.

It has two layers: "double" (saturating, into the arena) and "sum" (over the arena, after a loop of
known length in assembly). Its results are those of ``expected_output``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgekit.manifest import MANIFEST_NAME, LayerEntry, Manifest, SegmentEntry, TensorEntry

ELEMENTS = 24
ARENA_BYTES = 32
SPIN_INSTRUCTIONS = 1 + 2 * 100 + 1  # spin() below: movs, 100 x (subs, bne), bx

_HOOK = """/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EK_LAYER_HOOK
#define EK_LAYER_HOOK(index) ((void)0)
#endif
"""

_HEADER = """/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_H
#define MODEL_H
#include <stdint.h>
#define MODEL_ARENA_BYTES 32
#define MODEL_ARENA_ALIGN 16
typedef enum { EK_OK = 0, EK_BAD_ARGUMENT = 1 } ek_status;
ek_status model_run(const int8_t *input, int8_t *output, void *arena);
#endif
"""

_SOURCE = """/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"
#include "runtime/ek_hook.h"

void spin(void);

__attribute__((noinline)) static void double_values(const int8_t *input, int8_t *output) {
  for (int i = 0; i < 24; i++) {
    const int value = 2 * input[i];
    output[i] = (int8_t)(value > 127 ? 127 : value < -128 ? -128 : value);
  }
}

__attribute__((noinline)) static int8_t sum_values(const int8_t *input) {
  int sum = 0;
  for (int i = 0; i < 24; i++)
    sum += input[i];
  return (int8_t)(sum / 24);
}

ek_status model_run(const int8_t *input, int8_t *output, void *arena) {
  int8_t *doubled = (int8_t *)arena + 8;
  if (input == 0 || output == 0 || arena == 0)
    return EK_BAD_ARGUMENT;
  EK_LAYER_HOOK(0);
  double_values(input, doubled);
  EK_LAYER_HOOK(1);
  spin();
  output[0] = sum_values(doubled);
  EK_LAYER_HOOK(-1);
  return EK_OK;
}

ek_status model_step(void);
ek_status model_step(void) { return EK_OK; }
"""

_SPIN_BODY = """        movs r0, #100
.Lagain:
        subs r0, #1
        bne .Lagain
"""

_SPIN = """/* SPDX-License-Identifier: Apache-2.0 */
        .syntax unified
        .thumb
        .section .text.spin, "ax", %progbits
        .global spin
        .type spin, %function
        .thumb_func
spin:
{body}        bx lr
        .size spin, . - spin
"""


def write_model(
    directory: Path,
    *,
    source: str = _SOURCE,
    header: str = _HEADER,
    spin_body: str = _SPIN_BODY,
    manifest: Manifest | None = None,
) -> Path:
    """Write the model folder; ``source``, ``header`` and ``spin_body`` replace its own."""
    (directory / "runtime").mkdir(parents=True)
    (directory / "runtime" / "ek_hook.h").write_text(_HOOK, "utf-8")
    (directory / "runtime" / "spin.S").write_text(_SPIN.format(body=spin_body), "utf-8")
    (directory / "model.h").write_text(header, "utf-8")
    (directory / "model.c").write_text(source, "utf-8")
    content = manifest if manifest is not None else model_manifest()
    (directory / MANIFEST_NAME).write_bytes(content.to_json())
    return directory


def model_source(*, old: str, new: str) -> str:
    """model.c with one piece replaced, which must be in it once."""
    assert _SOURCE.count(old) == 1
    return _SOURCE.replace(old, new)


def model_header(*, old: str, new: str) -> str:
    """model.h with one piece replaced, which must be in it once."""
    assert _HEADER.count(old) == 1
    return _HEADER.replace(old, new)


def model_manifest(
    *,
    inputs: tuple[TensorEntry, ...] | None = None,
    outputs: tuple[TensorEntry, ...] | None = None,
    layer_names: tuple[str, ...] = ("double", "sum"),
) -> Manifest:
    """The manifest of the model, or of one with other tensors or layers."""
    inputs = inputs if inputs is not None else (tensor_entry("input", ELEMENTS),)
    outputs = outputs if outputs is not None else (tensor_entry("output", 1),)
    input_bytes = sum(entry.bytes for entry in inputs)
    output_bytes = sum(entry.bytes for entry in outputs)
    return Manifest(
        edgekit_version="0.0.0",
        name="model",
        target="cortex-m4",
        input_mode="resident",
        output_mode="resident",
        arena_bytes=ARENA_BYTES,
        arena_align=16,
        arena_lower_bound_bytes=ARENA_BYTES,
        input_bytes=input_bytes,
        output_bytes=output_bytes,
        ram_bytes=ARENA_BYTES + input_bytes + output_bytes,
        stack_bytes=1536,
        flash_bytes=0,
        macs_network=0,
        macs_legalized=0,
        macs_executed=0,
        slice_macs=0,
        inputs=inputs,
        outputs=outputs,
        schedule=(SegmentEntry(primitive="L", layers=tuple(range(len(layer_names)))),),
        layers=tuple(
            LayerEntry(
                index=index, name=name, source="", op=name, kernel=f"k_{name}", macs=0, buffers=()
            )
            for index, name in enumerate(layer_names)
        ),
        sources=("model.c", "runtime/ek_hook.h", "runtime/spin.S"),
        content_hash="",
    )


def tensor_entry(name: str, elements: int, *, dtype: str = "int8") -> TensorEntry:
    """A flat tensor of a model."""
    return TensorEntry(
        name=name,
        shape=(1, elements),
        source_shape=(1, elements),
        layout="",
        dtype=dtype,  # type: ignore[arg-type]
        scale=1.0,
        zero_point=0,
        bytes=elements * np.dtype(dtype).itemsize,
    )


def random_samples(count: int, *, seed: int = 1) -> list[list[npt.NDArray[np.int8]]]:
    """Inputs of the model, the first two at the limits of int8."""
    generator = np.random.default_rng(seed)
    values = generator.integers(-128, 128, (count, 1, ELEMENTS)).astype(np.int8)
    values[0], values[1 % count] = -128, 127
    return [[sample] for sample in values]


def expected_output(sample: npt.NDArray[np.int8]) -> int:
    """What the model computes: the mean of the saturated doubles, truncated towards zero."""
    total = int(np.clip(2 * sample.astype(np.int64), -128, 127).sum())
    return -(-total // ELEMENTS) if total < 0 else total // ELEMENTS
