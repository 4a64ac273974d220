# SPDX-License-Identifier: Apache-2.0
"""A lowered model: kernel calls in order over buffers, before and after memory is placed."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from edgekit.column_blocks import ColumnBlocks
from edgekit.ir import Array, Call, QGraph
from edgekit.kernel import Binding, CStruct, Kernel
from edgekit.layout import NHWC, Layout
from edgekit.window import Region, RowMap

InputMode = Literal["resident", "stream", "pull", "overwrite"]
"""resident: the whole input lies in the caller's memory; overwrite: in the arena, which reuses it;
stream: its rows are pushed one by one; pull: rows are read through a callback."""
Place = Literal["arena", "model_input", "model_output", "constant"]

OutputMode = Literal["resident", "stream"]
"""resident: the outputs lie in the caller's memory; stream: rows of the only one go to a callback."""

INPUT_STEP = "input"
"""The layer name of the step that takes pushed or pulled rows; it is step 0."""
OUTPUT_STEP = "output"
"""The layer name of the step that hands over the rows of a streamed output; it is the last one."""
CURSOR_BYTES = 8
"""Where a streamed run keeps its place (ek_cursor)."""
ARENA_ALIGN = 8
"""Alignment in bytes that the caller's arena must have."""
BUFFER_ALIGN = 4
"""Alignment in bytes of every buffer inside the arena: kernels load whole words."""
MAX_ROWS = 64
"""Row pointers of one call of a rows kernel (EK_MAX_ROWS)."""
MAX_PAIR_ROWS = 16
"""Rows of a window of a pair's consumer (EK_MAX_PAIR_ROWS)."""
MAX_MAPS = 64
"""Operands of a map kernel (EK_MAX_MAPS)."""
MAX_FIRINGS = 0xFFFF
"""Rows of a map, and steps, that the script can count."""


def working_name(graph: QGraph, text: str) -> str:
    """The name of a buffer that holds no tensor: ``text``, unless a tensor is called that."""
    while text in graph.tensors:
        text += "'"
    return text


def step_name(graph: QGraph, text: str) -> str:
    """The layer name of a step that runs no node: ``text``, unless a node or tensor is called that."""
    taken = {node.name for node in graph.nodes} | set(graph.tensors)
    while text in taken:
        text += "'"
    return text


def cursor_name(graph: QGraph) -> str:
    """The buffer in which a streamed run keeps its place."""
    return working_name(graph, "cursor")


@dataclass(frozen=True)
class Buffer:
    """Bytes in the arena that hold data from position ``first`` of the script to ``last``.

    ``busy`` has bit p set where they do at position p, where there are gaps between first and last:
    a row that is consumed at once gives its bytes to others until the next one is computed.
    """

    name: str
    bytes: int
    first: int
    last: int
    busy: int | None = None

    @property
    def positions(self) -> int:
        """Bit p is set where the buffer holds data at position p."""
        if self.busy is not None:
            return self.busy
        return ((1 << (self.last - self.first + 1)) - 1) << self.first

    def alive_at(self, position: int) -> bool:
        """Whether it holds data at a position."""
        if self.busy is None:
            return self.first <= position <= self.last
        return bool(self.busy >> position & 1)

    def alive_with(self, other: Buffer) -> bool:
        """Whether there is a position at which both hold data."""
        if self.busy is None and other.busy is None:
            return self.first <= other.last and other.first <= self.last
        return self.positions & other.positions != 0


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

    ``pixels`` is height * width; ``row_bytes`` is the distance from one row to the next; 0 repeats
    one row. Row r lies at r % ``ring_rows``, and ``bytes`` are those of that many rows.
    A step of a strip or patch sees a ``region`` of the tensor, whose first row and column lie
    ``skip_bytes`` behind those of the buffer.
    """

    tensor: str
    place: Place
    buffer: str = ""
    index: int = 0
    bytes: int = 0
    pixels: int = 0
    row_bytes: int = 0
    ring_rows: int = 1
    layout: Layout = NHWC
    data: Array | None = None
    skip_bytes: int = 0
    region: Region | None = None


@dataclass(frozen=True)
class RowLoop:
    """The rows of a rows kernel: ``rows`` tells which input rows an output row reads."""

    rows: RowMap
    input_height: int
    output_height: int
    output_width: int
    output_channels: int

    def rows_of(self, output_row: int) -> list[int]:
        """The input rows that an output row reads, top to bottom."""
        return [r for r in self.rows.inputs_of(output_row, self.input_height) if r is not None]

    @functools.cached_property
    def spans(self) -> list[tuple[int, int]]:
        """For every output row, its input rows from the first to behind the last."""
        return self.rows.spans(self.output_height, self.input_height)


@dataclass(frozen=True)
class Pair:
    """How two steps share the rows of the map between them, block of channels by block.

    producer, consumer: step indices. kept, tile: arena buffers ("" where there is none), see
    runtime_c/ek_pair.h. first_rows: rows that the producer computes ahead of the first window.
    whole_map: one block after the other over the whole map, instead of row by row. columns: blocks
    of columns instead, of all channels (runtime_c/ek_column_pair.h).
    """

    producer: int
    consumer: int
    channels: int
    block_channels: int
    block_row_bytes: int
    kept: str
    kept_rows: int
    kept_block_bytes: int
    tile: str
    tile_rows: int
    first_rows: int
    whole_map: bool
    columns: ColumnBlocks | None = None

    @property
    def tile_row_bytes(self) -> int:
        """From one row of the tile to the next."""
        return self.columns.tile_row_bytes if self.columns else self.block_row_bytes

    @property
    def tile_bytes(self) -> int:
        return self.tile_rows * self.tile_row_bytes

    @property
    def kept_bytes(self) -> int:
        """The last block may be a smaller one, but its rows lie as far apart as the others'."""
        blocks = -(-self.channels // self.block_channels)
        return (blocks - 1) * self.kept_block_bytes + self.kept_rows * self.block_row_bytes

    def new_rows(self, loop: RowLoop) -> list[list[int]]:
        """The rows of the map between that each firing computes, those ahead first.

        ``loop`` is the consumer's.
        """
        made = [[row] for row in range(self.first_rows)]
        before = self.first_rows
        for y in range(loop.output_height):
            window = loop.rows_of(y)
            made.append([row for row in window if row >= before] if self.kept_rows else window)
            before = max([before, *(row + 1 for row in window)])
        return made


@dataclass(frozen=True, eq=False)
class Step:
    """One layer: a kernel call, or a copy of rows where there is none (kernel None).

    ``call`` is what the kernel computes: the layer's, or the part of it for a strip or patch.
    ``fill`` is the zero point that every output row is set to before it is computed, for the pads of
    a row-planar map. ``padding_value`` asks for a constant row of that value in place of rows of padding.
    """

    layer: str
    op: str
    source: str
    macs: int
    kernel: Kernel | None
    binding: Binding
    operands: tuple[Operand, ...]
    output: Operand
    scratch: str | None = None
    scratch_bytes: int = 0
    loop: RowLoop | None = None
    fill: int | None = None
    padding_value: int | None = None
    call: Call | None = None

    @functools.cached_property
    def struct(self) -> CStruct | None:
        """The layer struct with packed weights; None where there is no kernel."""
        if self.kernel is None or self.call is None:
            return None
        return self.kernel.pack(self.call, self.binding)

    @property
    def copies_rows(self) -> bool:
        """Whether it moves one row with every firing: of the input, or to an output."""
        return self.kernel is None and self.output.row_bytes > 0


@dataclass(frozen=True)
class Firings:
    """``count`` firings of a step one after the other, of rows ``row``, ``row`` + 1, ...

    A step without rows fires once, with row 0.
    """

    step: int
    row: int
    count: int


@dataclass(frozen=True, eq=False)
class Segment:
    """Steps [first, last] that run together, and the positions of the script that they take.

    parts: strips or patches along each side, each with steps of its own.
    """

    primitive: str
    first: int
    last: int
    script_begin: int
    script_end: int
    parts: int = 1


@dataclass(frozen=True, eq=False)
class Program:
    """All steps of a model, the order of their rows, the arena buffers and the overlaps that are allowed.

    ``script`` is the execution order; a position in it is an index into it.
    """

    graph: QGraph
    steps: tuple[Step, ...]
    script: tuple[Firings, ...]
    buffers: tuple[Buffer, ...]
    overlaps: tuple[Overlap, ...]
    segments: tuple[Segment, ...]
    pairs: tuple[Pair, ...] = ()
    macs_executed: int = 0
    input_mode: InputMode = "resident"
    output_mode: OutputMode = "resident"

    def verify(self) -> Program:
        """Check that steps name buffers that are alive when they fire, and that names are unique."""
        by_name = {buffer.name: buffer for buffer in self.buffers}
        assert len(by_name) == len(self.buffers), "buffer names are not unique"
        for position, firings in enumerate(self.script):
            step = self.steps[firings.step]
            written = (step.output,) if _completes(step, firings) else ()
            read = step.operands if _reads(step, firings) else ()
            names = [o.buffer for o in (*read, *written) if o.place == "arena"]
            for name in (*names, *([step.scratch] if step.scratch else [])):
                assert by_name[name].alive_at(position), f"{step.layer}: '{name}' is not alive"
        return self

    def finish_entry(self) -> int:
        """The first position of the script that writes to an output that the caller holds."""
        if self.output_mode == "stream":
            return len(self.script)
        for position, firings in enumerate(self.script):
            if self.steps[firings.step].output.place == "model_output":
                return position
        return len(self.script)

    def step_at(self, position: int) -> int:
        """The step that fires at a position of the script."""
        return self.script[position].step


def _reads(step: Step, firings: Firings) -> bool:
    """Whether firings read anything; the windows of some rows may see nothing but padding."""
    if step.loop is None or (step.kernel is not None and step.kernel.accumulates):
        return True
    spans = step.loop.spans[firings.row : firings.row + firings.count]
    return any(first < end for first, end in spans)


def _completes(step: Step, firings: Firings) -> bool:
    """Whether firings write to the output; a kernel that accumulates does so in its last one."""
    if step.kernel is None or not step.kernel.accumulates:
        return True
    return step.loop is not None and firings.row + firings.count == step.loop.output_height


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
            if self.program.step_at(output.first) not in self.bottom_up:
                return gap >= overlap.distance
            return overlap.distance_bottom_up is not None and -gap >= overlap.distance_bottom_up
        return False
