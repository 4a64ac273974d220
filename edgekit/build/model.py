# SPDX-License-Identifier: Apache-2.0
"""The C files of a converted model folder, compiled for a target."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgekit.build.cross import ObjectFile, compile_objects
from edgekit.manifest import Manifest
from edgekit.target import Target


def compile_model(
    directory: Path,
    manifest: Manifest,
    target: Target,
    *,
    build_directory: Path,
    extra_flags: Sequence[str] = (),
) -> tuple[ObjectFile, ...]:
    """Compile the C and assembly files that the manifest lists, one object each.

    Raises:
        BadInputError: one of them is missing.
        MissingProgramError, ProgramFailedError: from the compiler.
    """
    return compile_objects(
        target,
        [directory / name for name in manifest.sources if name.endswith((".c", ".S"))],
        include_directories=model_include_directories(directory, manifest),
        build_directory=build_directory,
        extra_flags=extra_flags,
    )


def model_include_directories(directory: Path, manifest: Manifest) -> tuple[Path, ...]:
    """The model's folder and every folder below it that holds one of its sources."""
    folders = {(directory / name).parent for name in manifest.sources}
    return (directory, *sorted(folders - {directory}))
