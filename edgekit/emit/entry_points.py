# SPDX-License-Identifier: Apache-2.0
"""The functions of model.c that a caller sees: they check pointers and run the script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.emit.c_tables import initializer
from edgekit.emit.interface import CTensor, Interface, label_of
from edgekit.emit.slices import Slices
from edgekit.program import INPUT_STEP, Image, cursor_name

_SLICES_WORDS = 2
_STREAM_WORDS = 6


@dataclass(frozen=True)
class EntryPoints:
    """Their text, the headers that it needs, and the flash bytes of their tables."""

    text: str
    headers: tuple[str, ...] = ()
    standard_headers: tuple[str, ...] = ("stddef.h",)
    flash_bytes: int = 0


def entry_points(image: Image, interface: Interface, slices: Slices) -> EntryPoints:
    """The definitions of ``interface.prototypes()`` for a placed program, behind its script."""
    tables = _slices_text(slices)
    flash_bytes = 2 * len(slices.columns) + 4 * _SLICES_WORDS
    if interface.input_mode == "stream":
        text = tables + _stream_text(image, interface)
        flash_bytes += 4 * _STREAM_WORDS
        return EntryPoints(text, headers=("ek_stream.h",), flash_bytes=flash_bytes)
    copies = interface.input_mode == "overwrite"
    standard = ("stddef.h", "string.h") if copies else ("stddef.h",)
    text = _run_text(image, interface) + "\n" + tables + _step_text(image, interface)
    return EntryPoints(text, ("ek_slices.h",), standard, flash_bytes)


def window_reader(interface: Interface) -> str:
    """read_window: the callback of a pulled input as an ek_window_reader."""
    name, c_type = interface.name, interface.inputs[0].c_type
    return f"""static void read_window(const void *source_, int32_t y, int32_t x, int32_t height,
                        int32_t width, void *destination) {{
  const {name}_source *source = (const {name}_source *)source_;
  source->read(source->context, y, x, height, width, ({c_type} *)destination);
}}
"""


def row_writer(interface: Interface) -> str:
    """write_row: the callback of a streamed output as an ek_row_writer."""
    name, c_type = interface.name, interface.outputs[0].c_type
    return f"""static void write_row(const void *sink_, int32_t y, const void *row) {{
  const {name}_sink *sink = (const {name}_sink *)sink_;
  sink->write(sink->context, y, (const {c_type} *)row);
}}
"""


def _run_text(image: Image, interface: Interface) -> str:
    prototype, _ = interface.prototypes()
    return (
        f"{prototype} {{\n{_refusal(_run_checks(image, interface))}"
        f"{_bases(interface, _input_bases(interface))}{_copies_text(interface)}"
        "  ek_run_script(&script, 0, script.length, bases);\n  return EK_OK;\n}\n"
    )


def _step_text(image: Image, interface: Interface) -> str:
    _, prototype = interface.prototypes()
    copies = _copies_text(interface)
    if copies:
        copies = f"  if (position->entry == 0 && position->slice == 0) {{\n{copies}  }}\n"
    return (
        f"{prototype} {{\n{_refusal([*_run_checks(image, interface), 'position == NULL'])}"
        f"{_bases(interface, _input_bases(interface))}{copies}"
        "  return ek_step_script(&slices, position, bases);\n}\n"
    )


def _slices_text(slices: Slices) -> str:
    columns = ", ".join(map(str, slices.columns)) or "0"
    members = {"script": "&script", "columns": "slice_columns"}
    table = f"static const uint16_t slice_columns[] = {{{columns}}};\n"
    return f"{table}\n{initializer('ek_slices', 'slices', members)}\n"


def _run_checks(image: Image, interface: Interface) -> list[str]:
    checks = [*_input_checks(interface), *_output_checks(interface)]
    return [*checks, _arena_check(interface)] if image.arena_bytes else checks


def _copies_text(interface: Interface) -> str:
    """Where the run overwrites its inputs: move them to their places."""
    if interface.input_mode != "overwrite":
        return ""
    return "".join(_copy_text(interface, i) for i in range(len(interface.inputs)))


def _stream_text(image: Image, interface: Interface) -> str:
    begin, push, finish, step = interface.prototypes()
    arena = _arena_check(interface)
    sink = _output_checks(interface) if interface.output_mode == "stream" else []
    bases = ["(uint8_t *)arena", "(uint8_t *)(uintptr_t)rows"]
    bases += ["(uint8_t *)(uintptr_t)sink"] * len(sink[:1])
    rows = ["rows == NULL", *_misalignment("rows", interface.inputs[0])]
    members = {
        "slices": "&slices",
        "cursor": str(image.offsets[cursor_name(image.program.graph)]),
        "finish_entry": str(image.program.finish_entry()),
        "input_step": str([step.op for step in image.program.steps].index(INPUT_STEP)),
        "input_rows": str(interface.input_rows),
        "row_bytes": str(interface.input_row_bytes),
    }
    outputs = _refusal([arena, *_output_checks(interface)])
    outputs += _bases(interface, ["(uint8_t *)arena"])
    return f"""{initializer("ek_stream", "stream", members)}
{begin} {{
  if (!({arena})) {{
    ek_stream_begin(&stream, (uint8_t *)arena);
  }}
}}

{push} {{
{_refusal([arena, *rows, *sink])}\
  uint8_t *bases[] = {{{", ".join(bases)}}};
  return ek_stream_push(&stream, bases, row_count);
}}

{finish} {{
{outputs}\
  return ek_stream_finish(&stream, bases);
}}

{step} {{
{outputs}\
  return ek_stream_step(&stream, bases);
}}
"""


def _refusal(checks: Sequence[str]) -> str:
    return f"  if ({' || '.join(checks)}) {{\n    return EK_BAD_ARGUMENT;\n  }}\n"


def _arena_check(interface: Interface) -> str:
    return f"arena == NULL || (uintptr_t)arena % {interface.macro}_ARENA_ALIGN != 0"


def _input_checks(interface: Interface) -> list[str]:
    """What is wrong with the arguments for the inputs, in C; structs alone, without their members."""
    if interface.input_mode == "pull":
        return ["source == NULL", "source->read == NULL"]
    if interface.has_input_struct:
        return ["in == NULL"]
    return ["input == NULL", *_misalignment("input", interface.inputs[0])]


def _output_checks(interface: Interface) -> list[str]:
    if interface.output_mode == "stream":
        return ["sink == NULL", "sink->write == NULL"]
    if interface.has_output_struct:
        return ["out == NULL"]
    return ["output == NULL", *_misalignment("output", interface.outputs[0])]


def _misalignment(pointer: str, tensor: CTensor) -> list[str]:
    wide = tensor.tensor.bytes > tensor.tensor.elements
    return [f"(uintptr_t){pointer} % sizeof *{pointer} != 0"] if wide else []


def _member_checks(interface: Interface) -> str:
    """Refuse a struct with a pointer that is NULL or not aligned.

    A loop over the bases: with a comparison of each member the compiler keeps them all on the stack.
    """
    if not interface.has_output_struct and not interface.has_input_struct:
        return ""
    misaligned: list[str] = []
    if interface.has_input_struct:
        for index, tensor in enumerate(interface.inputs):
            misaligned += _misalignment(interface.input_pointer(index), tensor)
    for index, tensor in enumerate(interface.outputs if interface.has_output_struct else ()):
        misaligned += _misalignment(interface.output_pointer(index), tensor)
    return f"""  for (size_t i = 1; i < sizeof bases / sizeof *bases; i++) {{
    if (bases[i] == NULL) {{
      return EK_BAD_ARGUMENT;
    }}
  }}
{_refusal(misaligned) if misaligned else ""}"""


def _copy_text(interface: Interface, index: int) -> str:
    """Move an input to its place in the arena, unless it is there."""
    label = label_of("INPUT", interface.inputs[index], interface.inputs)
    place = f"(uint8_t *)arena + {interface.macro}_{label}_OFFSET"
    pointer = interface.input_pointer(index)
    return f"""  if ((const uint8_t *){pointer} != {place}) {{
    memcpy({place}, {pointer}, {interface.macro}_{label}_BYTES);
  }}
"""


def _input_bases(interface: Interface) -> list[str]:
    if interface.input_mode == "pull":
        return ["(uint8_t *)(uintptr_t)source"]
    pointers = (interface.input_pointer(i) for i in range(len(interface.inputs)))
    return [f"(uint8_t *)(uintptr_t){pointer}" for pointer in pointers]


def _bases(interface: Interface, inputs: Sequence[str]) -> str:
    """The array that the maps of the script refer to, checked: arena, inputs, outputs."""
    outputs = [f"(uint8_t *){interface.output_pointer(i)}" for i in range(len(interface.outputs))]
    pointers = ", ".join(["(uint8_t *)arena", *inputs, *outputs])
    return f"  uint8_t *const bases[] = {{{pointers}}};\n{_member_checks(interface)}"
