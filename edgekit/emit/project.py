# SPDX-License-Identifier: Apache-2.0
"""The files around model.c that make the folder a project: CMakeLists.txt and an example main."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.emit.interface import CTensor, Interface


def cmake_text(interface: Interface, c_files: Sequence[str]) -> str:
    """A static library for the model, and the example when this is the top-level project."""
    files = "\n  ".join(sorted(c_files))
    name = interface.name
    return f"""# SPDX-License-Identifier: Apache-2.0
cmake_minimum_required(VERSION 3.16)
project({name} C)

add_library({name} STATIC
  {files}
)
target_include_directories({name} PUBLIC ${{CMAKE_CURRENT_SOURCE_DIR}})
set_target_properties({name} PROPERTIES C_STANDARD 99)

if(CMAKE_SOURCE_DIR STREQUAL CMAKE_CURRENT_SOURCE_DIR)
  add_executable({name}_example example/main.c)
  target_link_libraries({name}_example PRIVATE {name})
  set_target_properties({name}_example PROPERTIES C_STANDARD 99)
endif()
"""


def example_text(interface: Interface) -> str:
    """A main that runs the model once on zeros and prints the first output."""
    name, macro = interface.name, interface.macro
    inputs = [_array(interface, "INPUT", t, len(interface.inputs)) for t in interface.inputs]
    outputs = [_array(interface, "OUTPUT", t, len(interface.outputs)) for t in interface.outputs]
    first = interface.outputs[0]
    label = "output" if len(outputs) == 1 else f"output_{first.identifier}"
    element = f"{first.identifier}_data[i]"
    real = f"{name}_dequantize_{label}({element})" if first.tensor.quantization else element
    return f"""/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the model once. Replace the inputs by your sensor's data. */
#include <stdio.h>

#include "{interface.header}"

/* One byte more than the model needs, because an array of C must not be empty. */
static union {{
  uint64_t align;
  uint8_t bytes[{macro}_ARENA_BYTES + 1];
}} arena;
{"".join(inputs)}{"".join(outputs)}
int main(void) {{
{_call(interface)}
  if (status != EK_OK) {{
    printf("{name}_run failed: %d\\n", (int)status);
    return 1;
  }}
  for (unsigned i = 0; i < sizeof {first.identifier}_data / sizeof *{first.identifier}_data; i++) {{
    printf("%u: %f\\n", i, (double){real});
  }}
  return 0;
}}
"""


def _array(interface: Interface, kind: str, tensor: CTensor, count: int) -> str:
    label = kind if count == 1 else f"{kind}_{tensor.identifier.upper()}"
    size = f"{interface.macro}_{label}_BYTES / sizeof({tensor.c_type})"
    return f"static {tensor.c_type} {tensor.identifier}_data[{size}];\n"


def _call(interface: Interface) -> str:
    if interface.is_single:
        source, result = interface.inputs[0].identifier, interface.outputs[0].identifier
        arguments = f"{source}_data, {result}_data, &arena"
        return f"  const ek_status status = {interface.name}_run({arguments});"
    inputs = ", ".join(f"{t.identifier}_data" for t in interface.inputs)
    outputs = ", ".join(f"{t.identifier}_data" for t in interface.outputs)
    return (
        f"  const {interface.name}_inputs in = {{{inputs}}};\n"
        f"  const {interface.name}_outputs out = {{{outputs}}};\n"
        f"  const ek_status status = {interface.name}_run(&in, &out, &arena);"
    )
