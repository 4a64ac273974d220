# SPDX-License-Identifier: Apache-2.0
"""A cost table for the cycle models: class, latency and registers of every instruction of an ELF.

The classes follow the instruction timings in the Technical Reference Manuals of Cortex-M4 (table
3-1) and the dual-issue rules that are known of Cortex-M7; qemu_plugin.c spends the cycles.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from edgekit.build.elf import Instruction

CYCLE_MODELS = {"cortex-m4": "m4", "cortex-m7": "m7"}


class InstructionClass(IntEnum):
    """The values of insn_class in qemu_plugin.c."""

    ALU = 0
    MULTIPLY = 1
    LOAD = 2
    LOAD_MANY = 3
    STORE = 4
    STORE_MANY = 5
    BRANCH = 6
    DIVIDE = 7
    FLOAT = 8


@dataclass(frozen=True)
class InstructionCost:
    """One line of the table; sources and destinations are register masks, bit 16 the flags."""

    instruction_class: InstructionClass
    registers: int = 1
    latency: int = 1
    sources: int = 0
    destinations: int = 0


_STACK_POINTER = 1 << 13
_FLAGS = 1 << 16
_DIVIDE_CYCLES = 7
_LOAD_LATENCY = 2
_MULTIPLY_LATENCY = 2
_SHIFT_LATENCY = 2

_REGISTER_NUMBERS = {f"r{number}": number for number in range(16)} | {
    "sb": 9,
    "sl": 10,
    "fp": 11,
    "ip": 12,
    "sp": 13,
    "lr": 14,
    "pc": 15,
}
_REGISTER = re.compile(r"\b(r\d+|s[bl]|fp|ip|sp|lr|pc)\b(?:-(r\d+|s[bl]|fp|ip|sp|lr|pc)\b)?")
_CONDITION = "(?:eq|ne|cs|cc|hs|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le|al)"
_BRANCH = re.compile(rf"(?:b|bl|bx|blx|cbz|cbnz|tbb|tbh){_CONDITION}?$")
_CONDITIONAL_BRANCH = re.compile(rf"b{_CONDITION}$")
_MULTIPLY = re.compile(r"mul|mla|mls|smla|smul|smml|smmu|umul|umla|umaal|smuad|smusd|smlsd|smlsld")
_LONG_MULTIPLY = re.compile(r"smull|umull|smlal|umlal|umaal|smlsld")
_UNARY = ("mov", "mvn", "sxt", "uxt", "rev", "clz", "neg", "adr")
_SLOW_ALU = ("ssat", "usat", "sxtb16", "uxtb16", "sadd", "pkh", "qadd")
_SHIFTS = ("lsl", "lsr", "asr", "ror", "sxt", "uxt")


def instruction_cost(instruction: Instruction) -> InstructionCost:
    """The cost entry of one instruction."""
    name = re.sub(r"\.(?:[nwsuif]|8|16|32|64).*$", "", instruction.mnemonic)
    operands = _split_operands(instruction.operands)
    masks = tuple(_register_mask(operand) for operand in operands)
    if name.startswith("v"):
        return _float_cost(name, instruction.operands, masks)
    if name.startswith(("ld", "st", "push", "pop")):
        return _memory_cost(name, masks)
    if _BRANCH.match(name):
        return _branch_cost(name, masks)
    if _MULTIPLY.match(name):
        return _multiply_cost(name, masks)
    if name.startswith(("sdiv", "udiv")):
        return InstructionCost(
            InstructionClass.DIVIDE, 1, _DIVIDE_CYCLES, _union(masks[1:]), _union(masks[:1])
        )
    return _alu_cost(name, instruction.operands, masks)


def cost_lines(instructions: Iterable[Instruction]) -> tuple[str, ...]:
    """The table as the plugin reads it, in hexadecimal."""
    lines = []
    for instruction in instructions:
        cost = instruction_cost(instruction)
        values = (
            instruction.address,
            instruction.bytes,
            cost.instruction_class,
            cost.registers,
            cost.latency,
            cost.sources,
            cost.destinations,
        )
        lines.append("insn " + " ".join(f"{value:x}" for value in values))
    return tuple(lines)


def _memory_cost(name: str, masks: Sequence[int]) -> InstructionCost:
    stores = name.startswith(("st", "push"))
    many = InstructionClass.STORE_MANY if stores else InstructionClass.LOAD_MANY
    if name.startswith(("push", "pop")):
        moved, address = _union(masks), _STACK_POINTER
    elif name.startswith(("ldm", "stm")):
        moved, address = _union(masks[1:]), _union(masks[:1])
    elif name.startswith(("ldrd", "strd")):
        moved, address = _union(masks[:2]), _union(masks[2:])
    else:
        many = InstructionClass.STORE if stores else InstructionClass.LOAD
        moved, address = _union(masks[:1]), _union(masks[1:])
    registers = max(1, moved.bit_count())
    if stores:
        return InstructionCost(many, registers, 1, moved | address)
    return InstructionCost(many, registers, _LOAD_LATENCY, address, moved)


def _branch_cost(name: str, masks: Sequence[int]) -> InstructionCost:
    sources = _union(masks) if name.startswith(("cb", "bx", "blx", "tb")) else 0
    if _CONDITIONAL_BRANCH.match(name):
        sources |= _FLAGS
    return InstructionCost(InstructionClass.BRANCH, sources=sources)


def _multiply_cost(name: str, masks: Sequence[int]) -> InstructionCost:
    if _LONG_MULTIPLY.match(name):
        destinations = _union(masks[:2])
        accumulates = not name.startswith(("smull", "umull"))
        sources = _union(masks[2:]) | (destinations if accumulates else 0)
    else:
        destinations = _union(masks[:1])
        sources = _union(masks[1:]) if len(masks) > 2 else _union(masks)
    return InstructionCost(InstructionClass.MULTIPLY, 1, _MULTIPLY_LATENCY, sources, destinations)


def _float_cost(name: str, operands: str, masks: Sequence[int]) -> InstructionCost:
    span = re.search(r"[sd](\d+)-[sd](\d+)", operands)
    registers = int(span[2]) - int(span[1]) + 1 if span else 2
    if name.startswith(("vldm", "vpop")):
        return InstructionCost(
            InstructionClass.LOAD_MANY, registers, _LOAD_LATENCY, _union(masks[:1])
        )
    if name.startswith(("vstm", "vpush")):
        return InstructionCost(InstructionClass.STORE_MANY, registers, 1, _union(masks))
    if name.startswith("vldr"):
        return InstructionCost(InstructionClass.LOAD, 1, _LOAD_LATENCY, _union(masks[1:]))
    if name.startswith("vstr"):
        return InstructionCost(InstructionClass.STORE, 1, 1, _union(masks))
    if name.startswith("vmov") and masks and masks[0]:
        return InstructionCost(InstructionClass.FLOAT, destinations=masks[0])
    return InstructionCost(InstructionClass.FLOAT, sources=_union(masks))


def _alu_cost(name: str, operands: str, masks: Sequence[int]) -> InstructionCost:
    if name.startswith("it") or name == "nop" or not masks:
        return InstructionCost(InstructionClass.ALU)
    if name.startswith(("cmp", "cmn", "tst", "teq")):
        return InstructionCost(InstructionClass.ALU, sources=_union(masks), destinations=_FLAGS)
    destinations, sources = masks[0], _union(masks[1:])
    if len(masks) == 2 and not name.startswith(_UNARY):
        sources |= destinations
    if name.endswith("s") and not name.endswith(("ls", "vs", "cs", "hs")):
        destinations |= _FLAGS
    shifted = re.search(r"(?:lsl|lsr|asr|ror)\s*#", operands) and not name.startswith(_SHIFTS)
    slow = bool(shifted) or name.startswith(_SLOW_ALU)
    latency = _SHIFT_LATENCY if slow else 1
    return InstructionCost(InstructionClass.ALU, 1, latency, sources, destinations)


def _split_operands(operands: str) -> tuple[str, ...]:
    text = re.sub(r"<[^>]*>", "", operands)
    parts = re.split(r",(?![^\[{]*[\]}])", text)
    return tuple(part.strip() for part in parts if part.strip())


def _register_mask(operand: str) -> int:
    mask = 0
    for match in _REGISTER.finditer(operand):
        first = _REGISTER_NUMBERS.get(match[1], 0)
        last = _REGISTER_NUMBERS.get(match[2], first) if match[2] else first
        for number in range(first, last + 1):
            mask |= 1 << number
    return mask


def _union(masks: Sequence[int]) -> int:
    union = 0
    for mask in masks:
        union |= mask
    return union
