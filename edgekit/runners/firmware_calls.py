# SPDX-License-Identifier: Apache-2.0
"""firmware_model.h: where the tensors lie in their blocks, and how the model is called in its input mode.

A caller is free to choose some things; ``variant`` 0 and 1 choose differently: the rows that are
pushed at once (one, or all), and where an input lies that is overwritten (in the arena, or not).
"""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.layout import map_size
from edgekit.manifest import Manifest, TensorEntry

_PUSH_ALL = "ek_push_all"
_TENSOR_ALIGN_BYTES = 16
_GUARD_BYTES = 16


def entry_symbol(manifest: Manifest) -> str:
    """The function whose call is counted: that of the model, or the one that pushes all rows."""
    return _PUSH_ALL if manifest.input_mode == "stream" else f"{manifest.name}_run"


def firmware_model_header(manifest: Manifest) -> str:
    """The text of firmware_model.h."""
    name = manifest.name
    input_offsets, input_block_bytes = _block_layout(manifest.inputs)
    output_offsets, output_block_bytes = _block_layout(manifest.outputs)
    functions = {
        "resident": _run_functions,
        "overwrite": _run_functions,
        "stream": _stream_functions,
        "pull": _pull_functions,
    }[manifest.input_mode]
    return f"""/* SPDX-License-Identifier: Apache-2.0 */
#include "{name}.h"
#include "semihosting.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define EK_ARENA_BYTES ((size_t){name.upper()}_ARENA_BYTES)
#define EK_ARENA_ALIGN {name.upper()}_ARENA_ALIGN
#define EK_INPUT_COUNT {len(manifest.inputs)}u
#define EK_INPUT_BLOCK_BYTES {input_block_bytes}u
#define EK_OUTPUT_COUNT {len(manifest.outputs)}u
#define EK_OUTPUT_BLOCK_BYTES {output_block_bytes}u

typedef struct {{
  size_t offset;
  size_t bytes;
}} ek_span;

static const ek_span ek_inputs[] = {{{_spans(manifest.inputs, input_offsets)}}};
static const ek_span ek_outputs[] = {{{_spans(manifest.outputs, output_offsets)}}};

int32_t ek_timed_call(const void *input, const void *output, void *arena);

{_sink(manifest)}{functions(manifest, input_offsets, output_offsets)}"""


def _block_layout(entries: Sequence[TensorEntry]) -> tuple[tuple[int, ...], int]:
    offsets = []
    end = 0
    for entry in entries:
        start = end + _GUARD_BYTES
        offset = -(-start // _TENSOR_ALIGN_BYTES) * _TENSOR_ALIGN_BYTES
        offsets.append(offset)
        end = offset + entry.bytes
    return tuple(offsets), end + _GUARD_BYTES


def _spans(entries: Sequence[TensorEntry], offsets: Sequence[int]) -> str:
    pairs = zip(offsets, entries, strict=True)
    return ", ".join(f"{{{offset}u, {entry.bytes}u}}" for offset, entry in pairs)


def _run_functions(
    manifest: Manifest, input_offsets: Sequence[int], output_offsets: Sequence[int]
) -> str:
    """One call of <name>_run with pointers to all tensors."""
    inputs = [f"input + {offset}" for offset in input_offsets]
    prepare = ""
    for index, entry in enumerate(manifest.inputs):
        if entry.arena_offset is not None:
            inputs[index] = (
                f"variant == 0 ? arena + {entry.arena_offset} : input + {input_offsets[index]}"
            )
            prepare += (
                f"  if (variant == 0)\n    memcpy(arena + {entry.arena_offset}, "
                f"input + {input_offsets[index]}, {entry.bytes}u);\n"
            )
    if manifest.port_structs[0]:
        source = _struct(manifest, "inputs", manifest.inputs, inputs, qualifier="const ")
        argument, parameter = "&inputs", f"const {manifest.name}_inputs *"
    else:
        source, argument = "", inputs[0]
        parameter = f"const {manifest.inputs[0].dtype}_t *"
    return f"""{_invoke_prototype()} {{
  ek_status (*const entry)({parameter}, {_output_type(manifest)}, void *) = {manifest.name}_run;
  (void)entry;
  (void)variant;
{prepare}{source}{_output_struct(manifest, output_offsets)}\
  return ek_timed_call({argument}, {_output_argument(manifest, output_offsets)}, arena);
}}
"""


def _stream_functions(
    manifest: Manifest, input_offsets: Sequence[int], output_offsets: Sequence[int]
) -> str:
    name, c_type = manifest.name, f"{manifest.inputs[0].dtype}_t"
    output_type = _output_type(manifest)
    rows = f"{name.upper()}_INPUT_ROWS"
    sink = ", output" if manifest.output_mode == "stream" else ""
    return f"""extern uint32_t ek_call_stack;
static uint32_t rows_at_once;
int32_t {_PUSH_ALL}(const {c_type} *rows, {output_type}output, void *arena);

int32_t {_PUSH_ALL}(const {c_type} *rows, {output_type}output, void *arena) {{
  {name}_begin(arena);
  /* The stack of the model begins below this function's own. */
  __asm__ volatile(EK_READ_STACK_POINTER : "=r"(ek_call_stack));
  for (uint32_t y = 0; y < {rows}; y += rows_at_once) {{
    const ek_status status = {name}_push_rows(arena, rows, rows_at_once{sink});
    if (status != EK_OK)
      return status;
    rows += rows_at_once * ({name.upper()}_INPUT_ROW_BYTES / sizeof *rows);
  }}
  return {name}_finish(arena, output);
}}

{_invoke_prototype()} {{
{_output_struct(manifest, output_offsets)}  rows_at_once = variant == 0 ? 1u : {rows};
  return ek_timed_call(input + {input_offsets[0]}, {_output_argument(manifest, output_offsets)}, arena);
}}
"""


def _pull_functions(
    manifest: Manifest, input_offsets: Sequence[int], output_offsets: Sequence[int]
) -> str:
    (entry,), name = manifest.inputs, manifest.name
    height, width, _ = map_size(entry.shape)
    pixel_bytes = entry.bytes // (height * width)
    return f"""static void read_window(void *context, int32_t y, int32_t x, int32_t height,
                        int32_t width, {entry.dtype}_t *destination) {{
  const size_t bytes = (size_t)width * {pixel_bytes}u;
  for (int32_t row = 0; row < height; row++) {{
    const uint8_t *from = (const uint8_t *)context + (y + row) * {name.upper()}_INPUT_ROW_BYTES;
    memcpy((uint8_t *)destination + (size_t)row * bytes, from + x * {pixel_bytes}, bytes);
  }}
}}

{_invoke_prototype()} {{
  ek_status (*const entry)(const {name}_source *, {_output_type(manifest)}, void *) = {name}_run;
  const {name}_source source = {{input + {input_offsets[0]}, read_window}};
  (void)entry;
  (void)variant;
{_output_struct(manifest, output_offsets)}\
  return ek_timed_call(&source, {_output_argument(manifest, output_offsets)}, arena);
}}
"""


def _invoke_prototype() -> str:
    parameters = "uint8_t *input, uint8_t *output, uint8_t *arena, uint32_t variant"
    return f"static int32_t ek_invoke({parameters})"


def _sink(manifest: Manifest) -> str:
    """The callback that puts the rows of a streamed output into its block."""
    if manifest.output_mode == "resident":
        return ""
    (entry,), name = manifest.outputs, manifest.name
    return f"""static void write_row(void *context, int32_t y, const {entry.dtype}_t *row) {{
  memcpy((uint8_t *)context + (size_t)y * {name.upper()}_OUTPUT_ROW_BYTES, row,
         {name.upper()}_OUTPUT_ROW_BYTES);
}}

"""


def _output_type(manifest: Manifest) -> str:
    if manifest.output_mode == "stream":
        return f"const {manifest.name}_sink *"
    if manifest.port_structs[1]:
        return f"const {manifest.name}_outputs *"
    return f"{manifest.outputs[0].dtype}_t *"


def _output_struct(manifest: Manifest, offsets: Sequence[int]) -> str:
    if manifest.output_mode == "stream":
        sink = f"{{output + {offsets[0]}, write_row}}"
        return f"  const {manifest.name}_sink outputs = {sink};\n"
    if not manifest.port_structs[1]:
        return ""
    places = [f"output + {offset}" for offset in offsets]
    return _struct(manifest, "outputs", manifest.outputs, places, qualifier="")


def _output_argument(manifest: Manifest, offsets: Sequence[int]) -> str:
    by_struct = manifest.port_structs[1] or manifest.output_mode == "stream"
    return "&outputs" if by_struct else f"output + {offsets[0]}"


def _struct(
    manifest: Manifest,
    kind: str,
    entries: Sequence[TensorEntry],
    places: Sequence[str],
    *,
    qualifier: str,
) -> str:
    members = ", ".join(
        f".{entry.name} = ({qualifier}{entry.dtype}_t *)({place})"
        for entry, place in zip(entries, places, strict=True)
    )
    return f"  const {manifest.name}_{kind} {kind} = {{{members}}};\n"
