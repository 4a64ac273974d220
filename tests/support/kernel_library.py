# SPDX-License-Identifier: Apache-2.0
"""Compiles kernels for the host, declares them to cffi from their headers, fills layer structs."""

from __future__ import annotations

import functools
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cffi
import numpy as np

from edgekit.emit.runtime_files import runtime_files
from edgekit.kernel import CStruct, Kernel
from edgekit.ops import operators
from edgekit.process import run_program

HOST_ISAS = ("ref", "c", "dsp", "mve")
"""Instruction sets whose kernels compile for the host: "dsp" and "mve" ones have portable twins."""

FLAGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
_INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)


@dataclass(frozen=True, eq=False)
class KernelLibrary:
    """The loaded shared library of some kernels."""

    ffi: Any
    lib: Any

    def function(self, kernel: Kernel) -> Any:
        return getattr(self.lib, kernel.symbol)

    def layer(self, struct: CStruct) -> tuple[Any, list[Any]]:
        """A pointer to the filled layer struct, and what must stay alive as long as it."""
        pointer = self.ffi.new(f"{struct.type} *")
        alive: list[Any] = [pointer]
        self._fill(pointer, struct, alive)
        return pointer, alive

    def _fill(self, target: Any, struct: CStruct, alive: list[Any]) -> None:
        """Set the members of a C struct, given itself or by pointer."""
        fields = dict(self.ffi.typeof(struct.type).fields)
        assert set(struct.members) == set(fields), "pack() must fill every member of the struct"
        for name, value in struct.members.items():
            if isinstance(value, CStruct):
                self._fill(getattr(target, name), value, alive)
                continue
            if isinstance(value, np.ndarray):
                alive.append(array := np.ascontiguousarray(value))
                value = self._table(fields[name].type, array, name)
            elif isinstance(value, str):
                value = getattr(self.lib, value)
            else:
                assert type(value) is int, f"{name} is a {type(value)}, which cannot be emitted"
            setattr(target, name, value)

    def _table(self, pointer_type: Any, array: np.ndarray[Any, Any], name: str) -> Any:
        assert pointer_type.kind == "pointer", f"{name} is an array, its C member no pointer"
        element = pointer_type.item.cname
        assert element == f"{array.dtype.name}_t", f"{name} has {array.dtype} for {element}"
        return self.ffi.cast(pointer_type, self.ffi.from_buffer(array))


@functools.cache
def host_library(isa: str) -> KernelLibrary:
    """All kernels of one instruction set; built once per process."""
    every = (kernel for operator in operators().values() for kernel in operator.kernels)
    with tempfile.TemporaryDirectory() as folder:  # a loaded library needs its file no more
        return build_library((k for k in every if k.isa == isa), Path(folder))


def build_library(kernels: Iterable[Kernel], folder: Path) -> KernelLibrary:
    """Compile the kernels with all they include into one shared library below ``folder``."""
    kernels = tuple(kernels)
    files = runtime_files((k.symbol for k in kernels), ())
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    sources = sorted(name for name in files if name.endswith(".c"))
    command = ["cc", *FLAGS, "-shared", "-fPIC", "-o", "kernels.so", *sources]
    run_program(command, timeout_seconds=120, cwd=folder)
    ffi = cffi.FFI()
    ffi.cdef(_declarations([k.header for k in kernels], files))
    return KernelLibrary(ffi, ffi.dlopen(str(folder / "kernels.so")))


def _declarations(headers: Iterable[str], files: dict[str, str]) -> str:
    """The text of the headers and of all that they include, each once, included ones first."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name not in order:
            for included in _INCLUDE.findall(files[name]):
                visit(included)
            order.append(name)

    for header in headers:
        visit(header)
    text = "\n".join(files[name] for name in order)
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))
