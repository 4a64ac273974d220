# SPDX-License-Identifier: Apache-2.0
"""Build converted models for this machine in no time: the runtime is compiled once per process."""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar
from unittest import mock

import cffi

from edgekit.build.host import host_compiler
from edgekit.emit.runtime_files import runtime_files
from edgekit.manifest import Manifest
from edgekit.ops import operators
from edgekit.process import run_program
from support.kernel_library import FLAGS, HOST_ISAS

Result = TypeVar("Result")
DRIVERS = (
    *("ek_rows.h", "ek_maps.h", "ek_pair.h", "ek_column_pair.h"),
    *("ek_pull.h", "ek_stream.h", "ek_script.h"),
)


class _Runtime:
    """A shared library of the drivers and of every kernel of some operators."""

    def __init__(self, ops: Sequence[str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="edgekit-runtime-")
        self.path = Path(self._folder.name)
        kernels = [
            kernel.symbol
            for op in ops
            for kernel in operators()[op].kernels
            if kernel.isa in HOST_ISAS and "s16" not in kernel.symbol
        ]
        files = runtime_files(kernels, ["ek_status.h", "ek_hook.h", *DRIVERS])
        for name, text in files.items():
            (self.path / name).write_text(text, encoding="utf-8")
        sources = sorted(name for name in files if name.endswith(".c"))
        command = [host_compiler(), *FLAGS, "-shared", "-fPIC", "-o", "libruntime.so", *sources]
        run_program(command, timeout_seconds=300, cwd=self.path)


@functools.cache
def _runtime(ops: tuple[str, ...]) -> _Runtime:
    cffi.FFI().cdef(
        "int warm(void);"
    )  # the first declaration of a process makes the parser's tables
    return _Runtime(ops)


@contextlib.contextmanager
def quick_builds(ops: tuple[str, ...]) -> Iterator[None]:
    """``run_host`` compiles only model.c, for models of these operators; it stays what it is."""
    runtime = _runtime(tuple(sorted(ops))).path

    def build(
        directory: Path, manifest: Manifest, *, build_directory: Path, **unused: object
    ) -> Path:
        library = build_directory / f"lib{manifest.name}.so"
        flags = ("-std=c99", "-O0", "-w", "-shared", "-fPIC", "-nostdlib")
        folders = (f"-I{runtime}", f"-I{directory}")
        linked = (f"-L{runtime}", f"-Wl,-rpath,{runtime}", "-lruntime")
        source = directory / f"{manifest.name}.c"
        command = [host_compiler(), *flags, *folders, "-o", library, source, *linked]
        run_program(command, timeout_seconds=60)
        return library

    with mock.patch("edgekit.runners.host.build_shared_library", build):
        yield


def in_a_child(function: Callable[[], Result]) -> Result:
    """The result of a function that may crash: then that is an error like any other."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            answer = pickle.dumps((function(), None))
        except Exception as error:
            answer = pickle.dumps((None, f"{type(error).__name__}: {error}"))
        with os.fdopen(write, "wb") as pipe:
            pipe.write(answer)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        received = pipe.read()
    _, status = os.waitpid(child, 0)
    assert received, f"it crashed with signal {status}"
    result, problem = pickle.loads(received)
    assert problem is None, problem
    return result  # type: ignore[no-any-return]
