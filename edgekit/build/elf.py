# SPDX-License-Identifier: Apache-2.0
"""What an ELF file holds (functions, instructions, sections), read with the target's binutils."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import BadInputError
from edgekit.process import run_program
from edgekit.target import CrossCompiler, Target

_TIMEOUT_SECONDS = 120.0
_NM_LINE = re.compile(r"([0-9a-f]+) (?:([0-9a-f]+) )?([tTwW]) (\S+)$")
_OBJDUMP_LINE = re.compile(r"\s*([0-9a-f]+):\t([0-9a-f ]+?)\s*\t(\S+)(?:\t(.*))?$")
_SIZE_LINE = re.compile(r"(\.\S+)\s+(\d+)\s+\d+$")
_RELOCATION_LINE = re.compile(r"([0-9a-f]{8})\s+[0-9a-f]{8}\s+(R_ARM_\w+)\s+([0-9a-f]{8})\s+(\S+)")


@dataclass(frozen=True)
class FunctionSymbol:
    """A function's name, address (bit 0 clear) and size."""

    name: str
    address: int
    bytes: int


@dataclass(frozen=True)
class Instruction:
    """One disassembled instruction; ``mnemonic`` is lower case, ``operands`` without comments."""

    address: int
    bytes: int
    mnemonic: str
    operands: str


@dataclass(frozen=True)
class Relocation:
    """A place in the file that holds the address of ``symbol``."""

    address: int
    kind: str
    symbol: str
    symbol_address: int


def cross_compiler(target: Target) -> CrossCompiler:
    """The cross compiler of ``target``; BadInputError where the target has none."""
    if target.compiler is None:
        raise BadInputError(
            f"target '{target.name}': has no cross compiler; use a core such as cortex-m4"
        )
    return target.compiler


def run_binutil(target: Target, tool: str, *arguments: str | Path) -> str:
    """Standard output of the target's ``tool`` (nm, objdump, size, readelf, objcopy)."""
    command = [cross_compiler(target).prefix + tool, *arguments]
    return run_program(command, timeout_seconds=_TIMEOUT_SECONDS).stdout


def read_functions(target: Target, elf: Path) -> tuple[FunctionSymbol, ...]:
    """The functions of ``elf`` by address; those of one address (aliases) by name."""
    functions = []
    for line in run_binutil(target, "nm", "-S", "--defined-only", elf).splitlines():
        match = _NM_LINE.match(line)
        if match is not None:
            address, size, _, name = match.groups()
            functions.append(FunctionSymbol(name, int(address, 16) & ~1, int(size or "0", 16)))
    return tuple(sorted(functions, key=lambda function: (function.address, function.name)))


def disassemble(target: Target, elf: Path) -> tuple[Instruction, ...]:
    """Every instruction of ``elf`` by address; constants between them are left out."""
    instructions = []
    for line in run_binutil(target, "objdump", "-d", elf).splitlines():
        match = _OBJDUMP_LINE.match(line)
        if match is None or match[3].startswith("."):
            continue
        operands = re.split(r"\s*[;@]", match[4] or "")[0].strip()
        size = len(match[2].replace(" ", "")) // 2
        instructions.append(Instruction(int(match[1], 16), size, match[3].lower(), operands))
    return tuple(sorted(instructions, key=lambda instruction: instruction.address))


def read_section(target: Target, elf: Path, *, section: str) -> bytes:
    """The bytes of one section, empty where the file has no such section."""
    output = elf.with_suffix(f"{section}.bin")
    run_binutil(
        target,
        "objcopy",
        "--output-target=binary",
        f"--only-section={section}",
        f"--set-section-flags={section}=alloc",
        elf,
        output,
    )
    content = output.read_bytes()
    output.unlink()
    return content


def section_bytes(target: Target, paths: tuple[Path, ...]) -> dict[str, int]:
    """Bytes per section name (``.text.foo``), summed over object files."""
    sizes: dict[str, int] = {}
    for line in run_binutil(target, "size", "-A", *paths).splitlines():
        match = _SIZE_LINE.match(line)
        if match is not None:
            sizes[match[1]] = sizes.get(match[1], 0) + int(match[2])
    return sizes


def read_relocations(target: Target, elf: Path) -> tuple[Relocation, ...]:
    """The relocations kept in an ELF that was linked with ``--emit-relocs``."""
    text = run_binutil(target, "readelf", "--relocs", "--wide", elf)
    matches = (_RELOCATION_LINE.match(line) for line in text.splitlines())
    return tuple(
        Relocation(int(match[1], 16), match[2], match[4], int(match[3], 16) & ~1)
        for match in matches
        if match is not None
    )
