# SPDX-License-Identifier: Apache-2.0
"""The counting plugin for QEMU: built once and kept, configured per program, its counts read."""

from __future__ import annotations

import hashlib
import importlib.resources
import os
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from edgekit.build.elf import disassemble, read_functions, read_section
from edgekit.errors import EdgekitError
from edgekit.process import run_program
from edgekit.runners.cycle_table import CYCLE_MODELS, cost_lines
from edgekit.runners.qemu import emulate
from edgekit.target import Target

GLUE_INDEX = -1

_SOURCE_NAME = "qemu_plugin.c"
_COMPILE_FLAGS = ("-O2", "-std=c11", "-shared", "-fPIC", "-fvisibility=hidden")
_COMPILE_SECONDS = 60.0
_CONFIG_FILE = "counts.conf"
_OUTPUT_FILE = "counts.txt"
_MARK = struct.Struct("<IIIi")
_LOWEST_ADDRESS_BITS = ~1


class MarkKind(IntEnum):
    """What a mark does; the values in .ek_marks and of the enum in qemu_plugin.c."""

    START = 0
    STOP = 1
    LAYER = 2
    LAYER_LOAD = 3


@dataclass(frozen=True)
class LayerCount:
    """What was counted while one layer was current."""

    instructions: int
    cycles: int


@dataclass(frozen=True)
class RegionCounts:
    """Exact counts between the start and stop marks.

    ``layers`` has GLUE_INDEX for what belongs to no layer. ``cycles`` are modelled, 0 where the
    core has no model. ``by_address`` sums to ``instructions``, as do the layers.
    """

    instructions: int
    cycles: int
    layers: Mapping[int, LayerCount]
    by_address: Mapping[int, int]


def count_instructions(target: Target, elf: Path, *, timeout_seconds: float) -> RegionCounts:
    """Run ``elf`` under QEMU and count what it executes between its marks.

    Raises:
        EmulationError: the program faulted.
        MissingProgramError: there is no host compiler, or no QEMU.
    """
    library = build_plugin(fallback_directory=elf.parent)
    (elf.parent / _CONFIG_FILE).write_text(plugin_config(target, elf), "utf-8")
    output = elf.parent / _OUTPUT_FILE
    escaped = str(library).replace(",", ",,")
    emulate(
        target,
        elf,
        timeout_seconds=timeout_seconds,
        qemu_flags=("-plugin", f"{escaped},config={_CONFIG_FILE},out={_OUTPUT_FILE}"),
    )
    if not output.is_file():
        raise EdgekitError(f"{elf.name}: no region was counted; report this as a bug")
    return parse_counts(output.read_text("utf-8"))


def build_plugin(*, fallback_directory: Path) -> Path:
    """The compiled plugin, from the user's cache where that can be written.

    Its name holds a hash of the source and of the flags, so a cached one is never stale.
    """
    source = importlib.resources.files("edgekit.runners") / _SOURCE_NAME
    text = source.read_text("utf-8")
    digest = hashlib.sha256("\0".join([text, *_COMPILE_FLAGS]).encode()).hexdigest()[:16]
    name = f"qemu_plugin_{digest}.so"
    for directory in (_cache_directory(), fallback_directory):
        library = directory.resolve() / name
        if library.is_file():
            return library
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=directory) as folder:
                _compile_plugin(text, Path(folder)).replace(library)
        except OSError:
            continue
        return library
    raise EdgekitError(f"{fallback_directory}: cannot be written; free some space or rights")


def plugin_config(target: Target, elf: Path) -> str:
    """The plugin's configuration for one program: code range, marks and cost table."""
    functions = read_functions(target, elf)
    base = min(function.address for function in functions)
    end = max(function.address + function.bytes for function in functions)
    lines = [f"code {base:x} {end - base:x}"]
    for kind, start, stop, value in _MARK.iter_unpack(
        read_section(target, elf, section=".ek_marks")
    ):
        first, last = start & _LOWEST_ADDRESS_BITS, stop & _LOWEST_ADDRESS_BITS
        lines.append(f"mark {MarkKind(kind):x} {first:x} {last:x} {value & 0xFFFFFFFF:x}")
    model = CYCLE_MODELS.get(target.core)
    if model is not None:
        lines.append(f"model {model}")
        in_range = [item for item in disassemble(target, elf) if base <= item.address < end]
        lines.extend(cost_lines(in_range))
    return "\n".join(lines) + "\n"


def parse_counts(text: str) -> RegionCounts:
    """Read the plugin's output.

    Raises:
        EdgekitError: instructions were executed outside the program's own code.
    """
    layers: dict[int, LayerCount] = {}
    by_address: dict[int, int] = {}
    instructions = cycles = 0
    for line in text.splitlines():
        word, *values = line.split()
        if word == "layer":
            layers[int(values[0])] = LayerCount(int(values[1]), int(values[2]))
        elif word == "pc":
            by_address[int(values[0], 16)] = int(values[1])
        elif word == "total":
            instructions, cycles = int(values[0]), int(values[1])
        elif word == "outside" and int(values[0]) != 0:
            raise EdgekitError(
                f"emulated program: ran {values[0]} instructions outside its code; "
                "report this as a bug"
            )
    return RegionCounts(instructions, cycles, layers, by_address)


def _compile_plugin(text: str, directory: Path) -> Path:
    source = directory / _SOURCE_NAME
    source.write_text(text, "utf-8")
    library = directory / "plugin.so"
    command = ["cc", *_COMPILE_FLAGS, str(source), "-o", str(library)]
    run_program(command, timeout_seconds=_COMPILE_SECONDS)
    return library


def _cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(base) / "edgekit"
