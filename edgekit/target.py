# SPDX-License-Identifier: Apache-2.0
"""A target: the core or board to build for, read from a TOML file."""

from __future__ import annotations

import importlib.resources
import itertools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from edgekit.errors import BadInputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_TARGETS_PACKAGE = "edgekit.targets"


Architecture = Literal["arm", "riscv"]


class MemoryRegion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One region of the emulated machine's memory map, in bytes.

    ``code`` holds the vectors, the code and (where it fits) constants; ``ram`` holds the rest.
    Of one kind, the first region that is big enough is taken.
    """

    name: str
    kind: Literal["code", "ram"]
    origin: int
    bytes: int


class CrossCompiler(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A GCC cross compiler: what its programs start with, and the flags that select the core."""

    prefix: str
    flags: tuple[str, ...]


class QemuMachine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The QEMU machine on which programs of the target run; ``flags`` go to QEMU as they are."""

    machine: str
    cpu: str | None = None
    flags: tuple[str, ...] = ()
    memory: tuple[MemoryRegion, ...]


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What edgekit builds for.

    ``isa`` lists the kernel families that the core runs, best first, and ends with "ref". A target
    without ``compiler`` is the machine edgekit runs on. ``sram_bytes`` and ``flash_bytes`` are a
    board's; a bare core has none. ``architecture`` says which start-up code, emulator and C library
    (for "riscv" none) a program is built and run with. ``costs`` is the core whose table of costs
    (targets/costs) holds for this one where it is not its own.
    """

    name: str
    description: str
    core: str
    isa: tuple[str, ...]
    architecture: Architecture = "arm"
    compiler: CrossCompiler | None = None
    qemu: QemuMachine | None = None
    sram_bytes: int | None = None
    flash_bytes: int | None = None
    costs: str | None = None

    def verify(self) -> None:
        """Raise BadInputError where the values contradict each other."""
        for problem in self._problems():
            raise BadInputError(f"target '{self.name}': {problem}")

    def _problems(self) -> tuple[str, ...]:
        problems = []
        if not self.name or not self.core:
            problems.append("name and core must not be empty; give both")
        if not self.isa or self.isa[-1] != "ref":
            problems.append(f"isa={list(self.isa)} does not end with 'ref'; add it")
        for field, value in (("sram_bytes", self.sram_bytes), ("flash_bytes", self.flash_bytes)):
            if value is not None and value <= 0:
                problems.append(f"{field}={value} is not positive; give the board's size")
        if self.qemu is not None:
            if self.compiler is None:
                problems.append("[qemu] without [compiler]; name the cross compiler")
            problems.extend(_memory_problems(self.qemu.memory))
        return tuple(problems)


def load_target(name_or_toml_path: str | Path) -> Target:
    """The target of that name, or the one in a TOML file (an argument that ends in ``.toml``).

    Raises:
        BadInputError: no such target or file, or the file is not a valid target.
    """
    if str(name_or_toml_path).endswith(".toml"):
        return _read_target_file(Path(name_or_toml_path))
    targets = {target.name: target for target in list_targets()}
    name = str(name_or_toml_path)
    if name not in targets:
        raise BadInputError(
            f"target '{name}' is not known; use one of {', '.join(targets)}, or a .toml file"
        )
    return targets[name]


def list_targets() -> tuple[Target, ...]:
    """Every target that edgekit ships, by name.

    Raises:
        BadInputError: one of the files is not a valid target.
    """
    folder = importlib.resources.files(_TARGETS_PACKAGE)
    targets = [
        _parse_target(entry.read_text("utf-8"), origin=entry.name)
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    ]
    return tuple(sorted(targets, key=lambda target: target.name))


def _read_target_file(path: Path) -> Target:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path}: cannot be read as a target: {error}; check it") from None
    return _parse_target(text, origin=str(path))


def _parse_target(text: str, *, origin: str) -> Target:
    try:
        values: Mapping[str, Any] = tomllib.loads(text)
        target = msgspec.convert(values, Target, strict=True)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadInputError(
            f"{origin}: not a valid target: {error}; compare it with those edgekit ships"
        ) from None
    target.verify()
    return target


def _memory_problems(memory: tuple[MemoryRegion, ...]) -> list[str]:
    problems = []
    for kind in ("code", "ram"):
        if not any(region.kind == kind for region in memory):
            problems.append(f"no memory region of kind '{kind}'; add one")
    ordered = sorted(memory, key=lambda region: region.origin)
    for region in ordered:
        if region.bytes <= 0 or region.origin < 0 or region.origin + region.bytes > 2**32:
            problems.append(f"memory region '{region.name}' is outside 32 bits; correct it")
    for low, high in itertools.pairwise(ordered):
        if low.origin + low.bytes > high.origin:
            problems.append(f"memory regions '{low.name}' and '{high.name}' overlap; correct one")
    return problems
