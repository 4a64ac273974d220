# SPDX-License-Identifier: Apache-2.0
"""What lies in the arena at which time: kinds of buffers, their lives, and the peak."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from edgekit.layout import map_size
from edgekit.program import INPUT_STEP, Buffer, Image, Program, cursor_name

Kind = Literal["map", "ring", "kept", "tile", "scratch", "cursor"]
"""map: a whole tensor. ring: the rows of a tensor that are still needed. kept, tile: rows of the map
inside a pair (runtime_c/ek_pair.h). scratch: working memory of a kernel, or its sums."""

INPUT_LABEL = "in"


@dataclass(frozen=True)
class Peak:
    """The first position of the script with the most bytes in use, and the step that fires there."""

    position: int
    step: int
    bytes: int
    buffers: frozenset[str]


def step_labels(program: Program) -> tuple[str, ...]:
    """Layers are counted without the arrival of the input: the same in every input mode.

    The steps of a layer that runs in strips or patches have the same one.
    """
    layers = [(step.op, step.layer) for step in program.steps]
    counted = dict.fromkeys(layer for layer in layers if layer[0] != INPUT_STEP)
    numbers = {layer: str(number) for number, layer in enumerate(counted)}
    return tuple(numbers.get(layer, INPUT_LABEL) for layer in layers)


def buffer_kinds(program: Program) -> dict[str, Kind]:
    """What every buffer holds, by name."""
    kinds: dict[str, Kind] = dict.fromkeys((buffer.name for buffer in program.buffers), "map")
    sizes = {buffer.name: buffer.bytes for buffer in program.buffers}
    for step in program.steps:
        for operand in (*step.operands, step.output):
            if operand.buffer not in program.graph.tensors or operand.buffer not in kinds:
                continue
            tensor = program.graph.tensors[operand.buffer]
            some_rows = 1 < operand.ring_rows < map_size(tensor.shape)[0]
            if some_rows or sizes[operand.buffer] < tensor.bytes:
                kinds[operand.buffer] = "ring"
    kinds |= {pair.kept: "kept" for pair in program.pairs if pair.kept}
    kinds |= {pair.tile: "tile" for pair in program.pairs if pair.tile}
    kinds |= {step.scratch: "scratch" for step in program.steps if step.scratch}
    if program.input_mode == "stream":
        kinds[cursor_name(program.graph)] = "cursor"
    return kinds


def lives(buffer: Buffer) -> list[tuple[int, int]]:
    """The first and last positions of each time that a buffer holds data without a gap."""
    found = []
    busy, begin = buffer.positions, 0
    while busy:
        gap = (busy & -busy).bit_length() - 1
        busy >>= gap
        begin += gap
        length = (busy ^ (busy + 1)).bit_length() - 1
        found.append((begin, begin + length - 1))
        busy >>= length
        begin += length
    return found


def covered_bytes(offsets: Mapping[str, int], buffers: Iterable[Buffer]) -> int:
    """Bytes that buffers cover which may overlap."""
    covered = end = 0
    for buffer in sorted(buffers, key=lambda b: offsets[b.name]):
        start, stop = offsets[buffer.name], offsets[buffer.name] + buffer.bytes
        covered += max(0, stop - max(start, end))
        end = max(end, stop)
    return covered


def live_buffers(program: Program, position: int) -> tuple[Buffer, ...]:
    """The buffers that hold data at a position of the script."""
    return tuple(buffer for buffer in program.buffers if buffer.alive_at(position))


def find_peak(image: Image) -> Peak | None:
    """Where the most of the arena is in use; None where nothing ever is."""
    program, best = image.program, None
    for position, firings in enumerate(program.script):
        live = live_buffers(program, position)
        covered = covered_bytes(image.offsets, live)
        if covered and (best is None or covered > best.bytes):
            best = Peak(position, firings.step, covered, frozenset(b.name for b in live))
    return best
