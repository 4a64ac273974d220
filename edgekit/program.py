# SPDX-License-Identifier: Apache-2.0
"""A lowered model: kernel calls in order over buffers, before and after memory is placed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from edgekit.ir import Array, QGraph
from edgekit.kernel import Binding, CStruct, Kernel
from edgekit.layout import NHWC, Layout
from edgekit.window import Axis

Place = Literal["arena", "model_input", "model_output", "constant"]

ARENA_ALIGN = 8
"""Alignment in bytes that the caller's arena must have."""
BUFFER_ALIGN = 4
"""Alignment in bytes of every buffer inside the arena: kernels load whole words."""
MAX_ROWS = 64
"""Row pointers that the row driver can hold (EK_MAX_ROWS)."""
MAX_OPERANDS = 2
"""Operands of a rows kernel (EK_MAX_OPERANDS)."""


@dataclass(frozen=True)
class Buffer:
    """Bytes in the arena that live from step ``first`` to step ``last``, both included."""

    name: str
    bytes: int
    first: int
    last: int

    def alive_with(self, other: Buffer) -> bool:
        """Whether there is a step at which both hold data."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Overlap:
    """How far the output of a step may lie over an input that dies there.

    Walked top to bottom, the input must start ``distance`` bytes above the output or higher; walked
    bottom to top, the output ``distance_bottom_up`` above the input (None: it cannot be). Only a
    step that has no other overlap may be walked bottom to top.
    """

    output: str
    input: str
    distance: int
    distance_bottom_up: int | None = None


@dataclass(frozen=True, eq=False)
class Operand:
    """What a step reads or writes: a buffer by name, a port by index, or a constant table.

    ``pixels`` is height * width; ``row_bytes`` is the distance from one row to the next; 0 repeats one row.
    """

    tensor: str
    place: Place
    buffer: str = ""
    index: int = 0
    bytes: int = 0
    pixels: int = 0
    row_bytes: int = 0
    layout: Layout = NHWC
    data: Array | None = None


@dataclass(frozen=True)
class RowLoop:
    """How the driver walks a rows kernel over its map (ek_rows_loop)."""

    input_height: int
    output_height: int
    output_width: int
    output_channels: int
    kernel_height: int
    stride: int
    dilation: int
    pad_top: int
    upsampling: int = 1

    def rows_of(self, output_row: int) -> list[int]:
        """The input rows that an output row reads, top to bottom."""
        axis = Axis(
            self.kernel_height,
            self.stride,
            self.dilation,
            self.pad_top,
            upsampling=self.upsampling,
        )
        return [r for r in axis.inputs_of(output_row, self.input_height) if r is not None]


@dataclass(frozen=True, eq=False)
class Step:
    """One layer: a kernel call, or a copy where a port needs its own memory (kernel None).

    ``fill`` is the zero point that every output row is set to before it is computed, for the pads of
    a row-planar map. ``padding_value`` asks for a constant row of that value in place of rows of padding.
    """

    layer: str
    op: str
    source: str
    macs: int
    kernel: Kernel | None
    struct: CStruct | None
    binding: Binding
    operands: tuple[Operand, ...]
    output: Operand
    scratch: str | None = None
    scratch_bytes: int = 0
    loop: RowLoop | None = None
    fill: int | None = None
    padding_value: int | None = None


@dataclass(frozen=True, eq=False)
class Segment:
    """Steps [first, last] that one scheduling primitive runs."""

    primitive: str
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class Program:
    """All steps of a model, the arena buffers they use, and the overlaps that are allowed."""

    graph: QGraph
    steps: tuple[Step, ...]
    buffers: tuple[Buffer, ...]
    overlaps: tuple[Overlap, ...]
    segments: tuple[Segment, ...]

    def verify(self) -> Program:
        """Check that steps name buffers that are alive, and that names are unique."""
        by_name = {buffer.name: buffer for buffer in self.buffers}
        assert len(by_name) == len(self.buffers), "buffer names are not unique"
        for index, step in enumerate(self.steps):
            names = [o.buffer for o in (*step.operands, step.output) if o.place == "arena"]
            for name in (*names, *([step.scratch] if step.scratch else [])):
                buffer = by_name[name]
                assert buffer.first <= index <= buffer.last, f"{step.layer}: '{name}' is not alive"
        return self


@dataclass(frozen=True, eq=False)
class Image:
    """A program with its memory placed; the steps ``bottom_up`` compute their last row first."""

    program: Program
    offsets: Mapping[str, int]
    arena_bytes: int
    arena_lower_bound_bytes: int
    bottom_up: frozenset[int] = frozenset()

    def verify(self) -> Image:
        """Check that no two live buffers share bytes, except where an overlap allows it."""
        buffers = self.program.buffers
        for i, a in enumerate(buffers):
            start = self.offsets[a.name]
            assert start % BUFFER_ALIGN == 0 and start + a.bytes <= self.arena_bytes, a
            for b in buffers[i + 1 :]:
                other = self.offsets[b.name]
                apart = start + a.bytes <= other or other + b.bytes <= start
                if not apart and a.alive_with(b):
                    assert self._may_share(a, b), f"'{a.name}' and '{b.name}' share bytes"
        return self

    def _may_share(self, a: Buffer, b: Buffer) -> bool:
        """Whether an overlap allows it in the direction in which the output's step is walked."""
        for overlap in self.program.overlaps:
            if {overlap.output, overlap.input} != {a.name, b.name}:
                continue
            output = a if overlap.output == a.name else b
            gap = self.offsets[overlap.input] - self.offsets[overlap.output]
            if output.first not in self.bottom_up:
                return gap >= overlap.distance
            return overlap.distance_bottom_up is not None and -gap >= overlap.distance_bottom_up
        return False
