# SPDX-License-Identifier: Apache-2.0
"""The example main of a project: it feeds zeros in the way of the input mode and prints the result."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.emit.interface import CTensor, Interface, label_of


@dataclass(frozen=True)
class _Parts:
    """What differs between input modes: includes, static data and functions, the calls in main."""

    calls: str
    data: str = ""
    include: str = ""


def example_text(interface: Interface) -> str:
    """A main that runs the model once on zeros and prints the first output."""
    name, macro = interface.name, interface.macro
    parts = _PARTS[interface.input_mode](interface)
    outputs = "".join(_array(interface, "OUTPUT", t) for t in interface.outputs)
    outputs += _row_writer(interface)
    first = interface.outputs[0]
    label = label_of("OUTPUT", first, interface.outputs).lower()
    element = f"{first.identifier}_data[i]"
    real = f"{name}_dequantize_{label}({element})" if first.tensor.quantization else element
    return f"""/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the model once. Replace the zeros by your sensor's data. */
#include <stdio.h>
{parts.include}
#include "{interface.header}"

/* One byte more than the model needs, because an array of C must not be empty. */
static union {{
  uint64_t align;
  uint8_t bytes[{macro}_ARENA_BYTES + 1];
}} arena;
{parts.data}{outputs}
int main(void) {{
{parts.calls}  if (status != EK_OK) {{
    printf("{name} failed: %d\\n", (int)status);
    return 1;
  }}
  for (unsigned i = 0; i < sizeof {first.identifier}_data / sizeof *{first.identifier}_data; i++) {{
    printf("%u: %f\\n", i, (double){real});
  }}
  return 0;
}}
"""


def _array(interface: Interface, kind: str, tensor: CTensor) -> str:
    tensors = interface.inputs if kind == "INPUT" else interface.outputs
    size = f"{interface.macro}_{label_of(kind, tensor, tensors)}_BYTES / sizeof({tensor.c_type})"
    return f"static {tensor.c_type} {tensor.identifier}_data[{size}];\n"


def _resident(interface: Interface) -> _Parts:
    data = "".join(_array(interface, "INPUT", tensor) for tensor in interface.inputs)
    given = [f"{tensor.identifier}_data" for tensor in interface.inputs]
    if not interface.has_input_struct:
        return _Parts(_outputs(interface) + _run(interface, given[0]), data)
    return _Parts(_input_struct(interface, given) + _run(interface, "&in"), data)


def _overwrite(interface: Interface) -> _Parts:
    """The inputs are made where the run wants them."""
    lines, given = "", []
    for tensor in interface.inputs:
        label = label_of("INPUT", tensor, interface.inputs)
        pointer = f"{tensor.identifier}_data"
        place = f"(void *)(arena.bytes + {interface.macro}_{label}_OFFSET)"
        lines += f"  {tensor.c_type} *const {pointer} = ({tensor.c_type} *){place};\n"
        lines += f"  memset({pointer}, 0, {interface.macro}_{label}_BYTES);\n"
        given.append(pointer)
    include = "#include <string.h>\n"
    if not interface.has_input_struct:
        return _Parts(lines + _outputs(interface) + _run(interface, given[0]), include=include)
    calls = lines + _input_struct(interface, given) + _run(interface, "&in")
    return _Parts(calls, include=include)


def _stream(interface: Interface) -> _Parts:
    name, macro, c_type = interface.name, interface.macro, interface.inputs[0].c_type
    data = f"static {c_type} row[{macro}_INPUT_ROW_BYTES / sizeof({c_type})];\n"
    sink = f", {_output_argument(interface)}" if interface.output_mode == "stream" else ""
    calls = f"""{_outputs(interface)}  ek_status status = EK_OK;
  {name}_begin(&arena);
  for (unsigned y = 0; y < {macro}_INPUT_ROWS && status == EK_OK; y++) {{
    status = {name}_push_rows(&arena, row, 1{sink}); /* row y of the image */
  }}
  if (status == EK_OK) {{
    status = {name}_finish(&arena, {_output_argument(interface)});
  }}
"""
    return _Parts(calls, data)


def _pull(interface: Interface) -> _Parts:
    macro, tensor = interface.macro, interface.inputs[0]
    elements = f"{macro}_INPUT_ROW_BYTES / sizeof({tensor.c_type})"
    channels = tensor.tensor.shape[-1]
    data = f"""static const {tensor.c_type} image[{macro}_INPUT_ROWS][{elements}] = {{{{0}}}};

enum {{ CHANNELS = {channels} }};

/* A window of the image; it may as well come from external memory or a camera's frame buffer. */
static void read_image(void *context, int32_t y, int32_t x, int32_t height, int32_t width,
                       {tensor.c_type} *destination) {{
  (void)context;
  for (int32_t row = 0; row < height; row++) {{
    for (int32_t i = 0; i < width * CHANNELS; i++) {{
      *destination++ = image[y + row][x * CHANNELS + i];
    }}
  }}
}}

"""
    source = f"  const {interface.name}_source source = {{NULL, read_image}};\n"
    return _Parts(_outputs(interface) + source + _run(interface, "&source"), data)


def _row_writer(interface: Interface) -> str:
    """The callback of a streamed output."""
    if interface.output_mode != "stream":
        return ""
    tensor = interface.outputs[0]
    row = f"{interface.macro}_OUTPUT_ROW_BYTES / sizeof({tensor.c_type})"
    return f"""
/* A row of the output; it may as well be sent or drawn at once. */
static void write_row(void *context, int32_t y, const {tensor.c_type} *row) {{
  (void)context;
  for (size_t i = 0; i < {row}; i++) {{
    {tensor.identifier}_data[(size_t)y * ({row}) + i] = row[i];
  }}
}}
"""


_PARTS = {"resident": _resident, "overwrite": _overwrite, "stream": _stream, "pull": _pull}


def _input_struct(interface: Interface, pointers: list[str]) -> str:
    inputs = f"  const {interface.name}_inputs in = {{{', '.join(pointers)}}};\n"
    return inputs + _outputs(interface)


def _outputs(interface: Interface) -> str:
    """The struct of outputs, or the sink of their rows, where there is one."""
    if interface.output_mode == "stream":
        return f"  const {interface.name}_sink sink = {{NULL, write_row}};\n"
    if not interface.has_output_struct:
        return ""
    pointers = ", ".join(f"{tensor.identifier}_data" for tensor in interface.outputs)
    return f"  const {interface.name}_outputs out = {{{pointers}}};\n"


def _output_argument(interface: Interface) -> str:
    if interface.output_mode == "stream":
        return "&sink"
    return "&out" if interface.has_output_struct else f"{interface.outputs[0].identifier}_data"


def _run(interface: Interface, source: str) -> str:
    arguments = f"{source}, {_output_argument(interface)}, &arena"
    return f"  const ek_status status = {interface.name}_run({arguments});\n"
