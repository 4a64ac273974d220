# SPDX-License-Identifier: Apache-2.0
"""The CMakeLists.txt that makes the folder a project."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.emit.interface import Interface
from edgekit.target import Target


def cmake_text(interface: Interface, c_files: Sequence[str], target: Target) -> str:
    """A static library for the model, and the example when this is the top-level project."""
    files = "\n  ".join(sorted(c_files))
    name = interface.name
    flags = target.compiler.flags if target.compiler else ()
    needed = ";".join(flag for flag in flags if flag.startswith("-f"))
    options = f"$<$<C_COMPILER_ID:GNU>:{needed}>"
    compile_options = f"target_compile_options({name} PRIVATE {options})\n" if needed else ""
    return f"""# SPDX-License-Identifier: Apache-2.0
cmake_minimum_required(VERSION 3.16)
project({name} C)

add_library({name} STATIC
  {files}
)
target_include_directories({name} PUBLIC ${{CMAKE_CURRENT_SOURCE_DIR}})
set_target_properties({name} PROPERTIES C_STANDARD 99)
{compile_options}
if(CMAKE_SOURCE_DIR STREQUAL CMAKE_CURRENT_SOURCE_DIR)
  add_executable({name}_example example/main.c)
  target_link_libraries({name}_example PRIVATE {name})
  set_target_properties({name}_example PROPERTIES C_STANDARD 99)
endif()
"""
