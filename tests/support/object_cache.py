# SPDX-License-Identifier: Apache-2.0
"""Compile what was compiled before in this session no second time: most C files are the runtime's.

An object is known by its compiler, its flags, and the bytes of its source and of all that it
includes. Only programs below /usr are trusted to be the same whenever they are called.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from edgekit.process import CompletedProgram, run_program

_COMPILER = re.compile(r"(?:[\w.-]+-)?(?:gcc|cc|clang|g\+\+|clang\+\+)")
_INCLUDE = re.compile(rb'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
_FOR_THE_LINKER = ("-shared", "-L", "-l", "-Wl,")
_UNCACHED = ("-include", "-imacros")
"""Flags that name more files than the sources."""
CALLERS = (
    "edgekit.build.cross.run_program",
    "edgekit.build.host.run_program",
    "support.c_project.run_program",
    "support.kernel_library.run_program",
    "support.quick_host.run_program",
)
"""Where compilers are called, and programs like them."""


class ObjectCache:
    """Objects in a folder, which several processes may share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.compiled = 0

    @contextlib.contextmanager
    def patched(self) -> Iterator[None]:
        """All callers of compilers go through the cache."""
        with contextlib.ExitStack() as stack:
            for caller in CALLERS:
                stack.enter_context(mock.patch(caller, self.run))
            yield

    def run(
        self, command: Sequence[str | Path], *, cwd: Path | None = None, **options: Any
    ) -> CompletedProgram:
        """What run_program does; the same files, warnings and errors come of it."""
        words = [str(word) for word in command]
        sources = [word for word in words[1:] if word.endswith(".c")]
        is_object = "-c" in words
        is_library = "-shared" in words and len(sources) > 1 and "-x" not in words
        if not sources or not (is_object or is_library) or not _can_cache(words):
            return run_program(command, cwd=cwd, **options)
        here = cwd or Path()
        output = here / words[words.index("-o") + 1]
        flags = _without_files(words, sources)
        if is_object:
            (source,) = sources
            return self._compile(words[0], flags, here / source, output, cwd=here, **options)
        link = [word for word in flags if word.startswith(_FOR_THE_LINKER)]
        flags = [word for word in flags if word not in link]
        with tempfile.TemporaryDirectory(prefix="edgekit-objects-") as folder:
            objects = [Path(folder) / f"{number}.o" for number in range(len(sources))]
            for source, path in zip(sources, objects, strict=True):
                flags_of_one = [*flags, "-c"]
                self._compile(words[0], flags_of_one, here / source, path, cwd=here, **options)
            linked = [words[0], *flags, "-o", output, *objects, *link]
            return run_program(linked, cwd=cwd, **options)

    def _compile(
        self,
        program: str,
        flags: list[str],
        source: Path,
        output: Path,
        *,
        cwd: Path,
        **options: Any,
    ) -> CompletedProgram:
        command = [program, *flags, source.absolute(), "-o", output.absolute()]
        known = self._folder / _key(program, flags, source, cwd)
        if known.is_dir():
            for path in known.iterdir():
                shutil.copyfile(path, output.with_suffix(path.suffix))
            return CompletedProgram(tuple(map(str, command)), 0, "", "")
        completed = run_program(command, cwd=cwd, **options)
        self.compiled += 1
        if not completed.stderr:
            self._keep(known, output)
        return completed

    def _keep(self, known: Path, output: Path) -> None:
        """Store an object and its stack usage; another process may have done so just now."""
        folder = Path(tempfile.mkdtemp(dir=self._folder, prefix="new-"))
        for path in (output, output.with_suffix(".su")):
            if path.is_file():
                shutil.copyfile(path, folder / f"object{path.suffix}")
        try:
            folder.rename(known)
        except OSError:
            shutil.rmtree(folder)


def _can_cache(words: Sequence[str]) -> bool:
    program = shutil.which(words[0]) or ""
    return (
        program.startswith("/usr/")
        and _COMPILER.fullmatch(Path(program).name) is not None
        and "-o" in words
        and not any(word.startswith(_UNCACHED) for word in words)
    )


def _without_files(words: Sequence[str], sources: Sequence[str]) -> list[str]:
    pairs = itertools.pairwise(words)
    return [word for before, word in pairs if word not in ("-o", *sources) and before != "-o"]


def _key(program: str, flags: Sequence[str], source: Path, cwd: Path) -> str:
    """Of the files that are included, only those in quotes: others belong to the compiler."""
    folders = [source.parent, *(cwd / flag[2:] for flag in flags if flag.startswith("-I"))]
    same = [flag for flag in flags if not flag.startswith("-I")]
    digest = hashlib.sha256("\0".join([_identity(program), source.name, *same]).encode())
    known: set[bytes] = set()
    waiting = [source.read_bytes()]
    while waiting:
        text = waiting.pop()
        digest.update(len(text).to_bytes(8, "little") + text)
        for name in sorted(set(_INCLUDE.findall(text)) - known):
            known.add(name)
            paths = (folder / os.fsdecode(name) for folder in folders)
            waiting += [path.read_bytes() for path in paths if path.is_file()][:1]
    return digest.hexdigest()


@functools.cache
def _identity(program: str) -> str:
    path = Path(shutil.which(program) or program).resolve()
    status = path.stat()
    return f"{Path(program).name} {path} {status.st_size} {status.st_mtime_ns}"
