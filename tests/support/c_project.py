# SPDX-License-Identifier: Apache-2.0
"""Compiles the C files of a converted folder as a user would, apart from edgekit's own builds."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgekit.inputs import dequantize_array
from edgekit.interpret import interpret
from edgekit.manifest import load_manifest
from edgekit.process import run_program
from edgekit.reference import Reference

WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
CORTEX_M4 = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=soft")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")
SANITIZED = (*WARNINGS, *SANITIZERS, "-O1")
_SECTION = re.compile(r"(\.\S+)\s+(\d+)\s+\d+$", re.MULTILINE)


def run(command: Sequence[str | Path], **options: object) -> str:
    """Standard output of a program that must succeed."""
    completed = subprocess.run(  # type: ignore[call-overload]
        [str(word) for word in command], capture_output=True, text=True, timeout=300, **options
    )
    assert completed.returncode == 0, f"{command}\n{completed.stdout}\n{completed.stderr}"
    return str(completed.stdout)


def sources(folder: Path) -> list[Path]:
    """The C files that the manifest lists."""
    return [folder / name for name in load_manifest(folder).sources]


def compile_each(compiler: str, flags: Sequence[str], folder: Path, into: Path) -> list[Path]:
    """One object per source below ``into``, which is made."""
    into.mkdir()
    objects = []
    for source in sources(folder):
        objects.append(into / f"{source.stem}.o")
        command = [compiler, *flags, f"-I{folder}", "-c", source, "-o", objects[-1]]
        run_program(command, timeout_seconds=300)
    return objects


def build_program(
    main: Path,
    folder: Path,
    program: Path,
    *flags_of_main: str,
    compiler: str = "gcc",
    flags: Sequence[str] = WARNINGS,
) -> None:
    """Link ``main`` with the model in ``folder``."""
    objects = compile_each(compiler, flags, folder, program.with_name(f"{program.name}_objects"))
    run([compiler, *flags, *flags_of_main, f"-I{folder}", main, *objects, "-o", program])


def section_bytes(size_tool: str, objects: Sequence[Path]) -> dict[str, int]:
    """Bytes per section name over all objects, as ``size -A`` says."""
    sizes: dict[str, int] = {}
    for name, size in _SECTION.findall(run([size_tool, "-A", *objects])):
        sizes[name] = sizes.get(name, 0) + int(size)
    return sizes


def symbols(nm_tool: str, objects: Sequence[Path], *, kind: str) -> set[str]:
    """Names of the ``kind`` "undefined" or "defined" (external ones) in any of the objects."""
    flag = {"undefined": "--undefined-only", "defined": "--defined-only"}[kind]
    output = run([nm_tool, "--extern-only", "--format=posix", flag, *objects])
    return {line.split()[0] for line in output.splitlines() if line and not line.endswith(":")}


def check_no_state(sizes: dict[str, int]) -> None:
    """Code, but no variables that live from call to call."""
    assert any(name.startswith(".text") for name in sizes)
    state = (".data", ".bss", ".tdata", ".tbss", "COMMON", ".init_array", ".ctors")
    assert not {name: size for name, size in sizes.items() if name.startswith(state) and size}


def check_example(output: str, folder: Path) -> None:
    """What the example prints is the reference's first output for zeros."""
    manifest, graph = load_manifest(folder), Reference(folder).graph
    zeros = tuple(np.zeros(entry.shape, entry.dtype) for entry in manifest.inputs)
    first = interpret(graph, zeros, outputs_only=True)[graph.outputs[0].tensor]
    real = dequantize_array(first.ravel(), manifest.outputs[0])
    printed = [line.split(": ") for line in output.splitlines()]
    assert [int(index) for index, _ in printed] == list(range(real.size))
    # The C side multiplies in float32 and prints six decimals.
    np.testing.assert_allclose([float(text) for _, text in printed], real, rtol=1e-6, atol=1e-6)
