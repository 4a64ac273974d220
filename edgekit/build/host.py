# SPDX-License-Identifier: Apache-2.0
"""The C files of a converted model become a shared library of this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edgekit.manifest import Manifest
from edgekit.process import run_program

HOST_FLAGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-fPIC", "-shared")
_TIMEOUT_SECONDS = 300.0


def host_compiler() -> str:
    """The C compiler of this machine: $CC, or cc."""
    return os.environ.get("CC") or "cc"


def build_shared_library(
    directory: Path,
    manifest: Manifest,
    *,
    build_directory: Path,
    extra_sources: Sequence[Path] = (),
    extra_flags: Sequence[str] = (),
) -> Path:
    """Compile the model in ``directory``; returns the library inside ``build_directory``.

    Raises:
        MissingProgramError: there is no C compiler.
        ProgramFailedError: the compiler refused the sources.
    """
    library = build_directory / f"lib{manifest.name}.so"
    sources = [directory / name for name in manifest.sources]
    run_program(
        [
            host_compiler(),
            *HOST_FLAGS,
            *extra_flags,
            f"-I{directory}",
            "-o",
            library,
            *sources,
            *extra_sources,
        ],
        timeout_seconds=_TIMEOUT_SECONDS,
    )
    return library
