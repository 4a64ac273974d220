# SPDX-License-Identifier: Apache-2.0
"""A static bound of the stack that a function needs: the deepest path through its call graph.

Frames come from GCC's -fstack-usage and, for library and assembly code and for pushes in inline
assembly, from the stack decrements in the disassembly; the larger one counts. Calls come from the
linked program. An indirect call may reach every function whose address is taken, except that those
who run the script call step functions only, and nobody else calls those. Interrupts are not in the
bound, nor is what a caller's callback needs.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.build.cross import ObjectFile, link_objects
from edgekit.build.elf import (
    FunctionSymbol,
    Instruction,
    disassemble,
    read_functions,
    read_relocations,
)
from edgekit.build.model import compile_model
from edgekit.errors import EdgekitError
from edgekit.manifest import load_manifest
from edgekit.target import Target

_BRANCH_TARGET = re.compile(r"(?:.*\s)?([0-9a-f]+) <[^>]*>$")
_CALL = re.compile(r"blx?(?:eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?(?:\.[nw])?$")
_JUMP = re.compile(r"(?:b(?:eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?(?:\.[nw])?|cbn?z)$")
_INDIRECT = re.compile(r"b(?:l?)x(?:ns)?(?:eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?$")
_CODE_RELOCATIONS = re.compile(r"R_ARM_(?:THM_)?(?:CALL|PC\d+|JUMP\d+|PREL31|V4BX|NONE|BF\d+)")
_REGISTER_SPAN = re.compile(r"\b([rsd])(\d+)(?:-[rsd](\d+))?\b|\b(s[bl]|fp|ip|lr|pc)\b")
_WORD_BYTES = 4
_SCRIPT_RUNNERS = (
    "ek_run_script",
    "ek_run_slice",
    "ek_step_script",
    "ek_stream_finish",
    "ek_stream_push",
    "ek_stream_step",
    "run_ready",
    "run_slice",
    "take_row",
)
"""And what a compiler may inline them into."""
_STEP_FUNCTION = re.compile(r"ek_run_(?!script$|slice$|columns$|region$)\w+")
"""ek_step_function in runtime_c: steps call kernels, and kernels call no steps."""
_CALLERS_OF_CALLBACKS = ("read_window", "write_row")
"""The functions of a model.c that call what its user wrote."""


@dataclass(frozen=True)
class Frame:
    """Stack bytes of one function by itself, saved registers included."""

    function: str
    bytes: int


@dataclass(frozen=True)
class StackBound:
    """The deepest path: ``bytes`` is the sum over ``path``, which starts at the entry function."""

    bytes: int
    path: tuple[Frame, ...]


class StackUsageError(EdgekitError):
    """The stack has no static bound: recursion, or a frame whose size is known at run time only."""


def stack_bound_bytes(directory: Path, target: Target) -> int:
    """Stack bytes that a call of the model in ``directory`` needs at most.

    Raises:
        StackUsageError: recursion or a dynamic frame.
        BadInputError: ``directory`` is no converted model, or the target has no cross compiler.
    """
    return model_stack_bound(directory, target).bytes


def model_stack_bound(directory: Path, target: Target) -> StackBound:
    """The bound of ``stack_bound_bytes`` with its path: the deepest of all entry points."""
    manifest = load_manifest(directory)
    with tempfile.TemporaryDirectory(prefix="edgekit-stack-") as folder:
        build_directory = Path(folder)
        objects = compile_model(directory, manifest, target, build_directory=build_directory)
        bounds = (
            stack_bound(target, objects, entry=entry, build_directory=build_directory)
            for entry in manifest.entry_points
        )
        return max(bounds, key=lambda bound: bound.bytes)


def stack_bound(
    target: Target, objects: Sequence[ObjectFile], *, entry: str, build_directory: Path
) -> StackBound:
    """Bound the stack of ``entry``, a function in ``objects``, below its caller's stack pointer.

    Raises:
        StackUsageError: recursion or a dynamic frame.
    """
    elf = build_directory.resolve() / "stack.elf"
    link_objects(target, objects, elf=elf, extra_flags=(f"-Wl,-e,{entry}", "-Wl,--emit-relocs"))
    return _CallGraph.read(target, elf, objects).deepest_path(entry)


@dataclass(frozen=True)
class _CallGraph:
    """Frames and callees per function name (one name per address)."""

    frames: Mapping[str, int]
    callees: Mapping[str, tuple[str, ...]]

    @staticmethod
    def read(target: Target, elf: Path, objects: Sequence[ObjectFile]) -> _CallGraph:
        functions = _one_per_address(read_functions(target, elf))
        compiled = read_stack_usage(objects)
        bodies = _bodies(functions, disassemble(target, elf))
        names = {function.address: function.name for function in functions}
        taken = _address_taken(target, elf, names)
        frames = {name: _frame_bytes(name, body, compiled) for name, body in bodies.items()}
        callees = {
            name: _callees(
                name, body, functions, taken, is_listed=_listed_bytes(name, compiled) is not None
            )
            for name, body in bodies.items()
        }
        return _CallGraph(frames, callees)

    def deepest_path(self, entry: str) -> StackBound:
        known: dict[str, StackBound] = {}

        def visit(name: str, callers: tuple[str, ...]) -> StackBound:
            if name in callers:
                cycle = " -> ".join((*callers[callers.index(name) :], name))
                raise StackUsageError(f"{entry}: recursion {cycle} has no stack bound; remove it")
            if name not in known:
                below = [visit(callee, (*callers, name)) for callee in self.callees[name]]
                deepest = max(below, key=lambda bound: bound.bytes, default=StackBound(0, ()))
                frame = Frame(name, self.frames[name])
                known[name] = StackBound(frame.bytes + deepest.bytes, (frame, *deepest.path))
            return known[name]

        if entry not in self.frames:
            raise EdgekitError(f"{entry}: no such function in the linked model; check its name")
        return visit(entry, ())


def read_stack_usage(objects: Sequence[ObjectFile]) -> dict[str, int]:
    """Frame bytes per function name, the largest where several files have one of that name.

    Raises:
        StackUsageError: a frame's size is not known at compile time.
    """
    frames: dict[str, int] = {}
    for item in objects:
        text = item.stack_usage.read_text("utf-8") if item.stack_usage.is_file() else ""
        for line in text.splitlines():
            place, size, kind = line.split("\t")
            name = place.rsplit(":", 1)[1]
            if kind == "dynamic":
                raise StackUsageError(
                    f"{item.source.name}: {name} has a frame of variable size; "
                    "use arrays of constant size"
                )
            frames[name] = max(frames.get(name, 0), int(size))
    return frames


def _one_per_address(functions: Sequence[FunctionSymbol]) -> tuple[FunctionSymbol, ...]:
    by_address: dict[int, FunctionSymbol] = {}
    for function in functions:
        known = by_address.get(function.address)
        if known is None or function.bytes > known.bytes:
            by_address[function.address] = function
    return tuple(by_address[address] for address in sorted(by_address))


def _bodies(
    functions: Sequence[FunctionSymbol], instructions: Sequence[Instruction]
) -> dict[str, tuple[Instruction, ...]]:
    """The instructions of each function; one without a size ends where the next one begins."""
    bodies: dict[str, list[Instruction]] = {function.name: [] for function in functions}
    position = -1
    for instruction in instructions:
        while (
            position + 1 < len(functions) and functions[position + 1].address <= instruction.address
        ):
            position += 1
        if position >= 0:
            bodies[functions[position].name].append(instruction)
    return {name: tuple(body) for name, body in bodies.items()}


def _address_taken(target: Target, elf: Path, names: Mapping[int, str]) -> tuple[str, ...]:
    """Functions to which anything but a branch refers; the assembler keeps their symbols."""
    taken = {
        names[relocation.symbol_address]
        for relocation in read_relocations(target, elf)
        if relocation.symbol_address in names
        and not relocation.symbol.startswith(".")
        and _CODE_RELOCATIONS.match(relocation.kind) is None
    }
    return tuple(sorted(taken))


def _callees(
    name: str,
    body: Sequence[Instruction],
    functions: Sequence[FunctionSymbol],
    address_taken: tuple[str, ...],
    *,
    is_listed: bool,
) -> tuple[str, ...]:
    names = {function.address: function.name for function in functions}
    callees: set[str] = set()
    for position, instruction in enumerate(body):
        if _is_return(body[:position], instruction):
            continue
        if _is_indirect(instruction, is_listed=is_listed):
            callees.update(_indirect_callees(name, address_taken))
            continue
        match = _BRANCH_TARGET.match(instruction.operands)
        if match is None:
            continue
        callee = names.get(int(match[1], 16))
        is_call = _CALL.match(instruction.mnemonic) is not None
        is_tail_call = _JUMP.match(instruction.mnemonic) is not None and callee != name
        if callee is not None and (is_call or is_tail_call):
            callees.add(callee)
    return tuple(sorted(callees))


def _indirect_callees(name: str, address_taken: tuple[str, ...]) -> Iterator[str]:
    """What a function may reach through a pointer; a clone such as ``f.part.0`` is the function."""
    caller = name.split(".")[0]
    for function in address_taken if caller not in _CALLERS_OF_CALLBACKS else ():
        is_step = _STEP_FUNCTION.fullmatch(function.split(".")[0]) is not None
        if is_step == (caller in _SCRIPT_RUNNERS):
            yield function


def _is_return(before: Sequence[Instruction], instruction: Instruction) -> bool:
    """Whether it ends the ``pop {r3}; add sp, #8; bx r3`` with which Armv6-M returns."""
    if not instruction.mnemonic.startswith("bx"):
        return False
    others = (i for i in reversed(before) if not re.match(r"sp\b", i.operands))
    last = next(others, instruction)
    return last.mnemonic.startswith("pop") and last.operands == f"{{{instruction.operands}}}"


def _is_indirect(instruction: Instruction, *, is_listed: bool) -> bool:
    """Whether it calls through a register; library code returns with ``bx`` and any register."""
    mnemonic, operands = instruction.mnemonic, instruction.operands
    if _INDIRECT.match(mnemonic) is None or operands == "lr" or "<" in operands:
        return False
    return is_listed or mnemonic.startswith("blx")


def _listed_bytes(name: str, compiled: Mapping[str, int]) -> int | None:
    """GCC's figure; a clone such as ``f.constprop.0`` has its origin's."""
    return compiled.get(name, compiled.get(name.split(".")[0]))


def _frame_bytes(name: str, body: Sequence[Instruction], compiled: Mapping[str, int]) -> int:
    listed = _listed_bytes(name, compiled)
    decrements = sum(_decrement_bytes(name, item, listed is not None) for item in body)
    return max(decrements, listed or 0)


def _decrement_bytes(name: str, instruction: Instruction, is_listed: bool) -> int:
    mnemonic, operands = instruction.mnemonic, instruction.operands
    if mnemonic.startswith("ldr") and re.match(r"pc, \[pc(?:, #\d+)?\]", operands):
        raise StackUsageError(f"{name}: is a jump through a word; link it nearer to its callers")
    if mnemonic.startswith(("push", "vpush")):
        return _saved_bytes(operands)
    if mnemonic.startswith(("stmdb", "vstmdb")) and operands.startswith("sp!"):
        return _saved_bytes(operands.split(",", 1)[1])
    moved = re.search(r"\[sp, #-(\d+)\]!", operands)
    if mnemonic.startswith(("str", "vstr")) and moved is not None:
        return int(moved[1])
    if not re.match(r"sp\b", operands) or not mnemonic.startswith(("sub", "add", "mov")):
        return 0
    immediate = re.search(r"#(\d+)$", operands)
    if immediate is not None:
        return int(immediate[1]) if mnemonic.startswith("sub") else 0
    if not is_listed and not mnemonic.startswith("mov"):
        raise StackUsageError(
            f"{name}: moves the stack pointer by a register; compile it with -fstack-usage"
        )
    return 0


def _saved_bytes(registers: str) -> int:
    total = 0
    for match in _REGISTER_SPAN.finditer(registers):
        if match[4] is not None:
            total += _WORD_BYTES
            continue
        count = int(match[3] or match[2]) - int(match[2]) + 1
        total += count * _WORD_BYTES * (2 if match[1] == "d" else 1)
    return total
