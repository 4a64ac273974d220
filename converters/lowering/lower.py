# SPDX-License-Identifier: Apache-2.0
"""Turn a planned model into steps over buffers, in the order in which their rows are computed."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgekit.converters.choose import Choice
from edgekit.converters.lowering.overlaps import Placed, overlaps_of
from edgekit.converters.lowering.segment import SegmentBuilder
from edgekit.converters.lowering.shared_buffers import SharedBuffers, working_buffers
from edgekit.converters.lowering.storage import Storage
from edgekit.converters.lowering.tiles import Tile, tiles_of
from edgekit.converters.schedule.order import Order, Unit
from edgekit.converters.schedule.plan import Plan, PlannedSegment
from edgekit.errors import UnsupportedError
from edgekit.program import (
    CURSOR_BYTES,
    INPUT_STEP,
    MAX_FIRINGS,
    Buffer,
    Firings,
    Overlap,
    Pair,
    Program,
    Segment,
    Step,
    cursor_name,
)


def lower(plan: Plan, choices: Mapping[str, Choice]) -> Program:
    """The steps of a plan with the chosen kernels, their order, and the buffers they work on.

    Raises:
        UnsupportedError: a map has more rows, or the model more layers, than a script can count.
    """
    compact = plan.compact
    choices = {
        name: choice.compact if name in compact and choice.compact else choice
        for name, choice in choices.items()
    }
    program = _lowered(plan, choices)
    holds = plan.input_mode == "stream" and plan.output_mode == "resident"
    if holds and (early := _written_before_the_last_row(program)):
        # The caller hands the output over when all rows are there: until then it is in the arena.
        program = _lowered(plan, choices, held=early)
    return program


def _lowered(plan: Plan, choices: Mapping[str, Choice], held: Collection[str] = ()) -> Program:
    lowering = _Lowering(plan, choices, held)
    segments = plan.segments or (PlannedSegment("L", ()),)
    for number, segment in enumerate(segments, start=1):
        hands_over = plan.output_mode == "stream" and number == len(segments)
        lowering.add_segment(segment, hands_over=hands_over)
    lowering.add_copies()
    return lowering.program()


def _written_before_the_last_row(program: Program) -> set[str]:
    """The outputs of which a row is written while input is still taken."""
    fired = [program.steps[firings.step] for firings in program.script]
    last = max((at for at, step in enumerate(fired) if step.op == INPUT_STEP), default=0)
    return {step.output.tensor for step in fired[:last] if step.output.place == "model_output"}


@dataclass
class _Span:
    """Positions of the script between which a whole map is needed."""

    first: int
    last: int


class _Lowering:
    """Builds the steps, segment after segment."""

    def __init__(self, plan: Plan, choices: Mapping[str, Choice], held: Collection[str]) -> None:
        self._plan = plan
        self._graph = plan.graph
        self._choices = choices
        self._streamed = plan.input_mode in ("stream", "pull")
        arena_input = self._streamed or plan.input_mode == "overwrite"
        self._storage = Storage(
            plan.graph,
            choices,
            arena_input=arena_input,
            held=held,
            streams_output=plan.output_mode == "stream",
            pulled=plan.repeats.pulled,
        )
        self._calls = {call.node.name: call for call in plan.graph.calls()}
        self._steps: list[Step] = []
        self._script: list[Firings] = []
        self._segments: list[Segment] = []
        self._pairs: list[Pair] = []
        self._spans: dict[str, _Span] = {}
        self._sizes: dict[str, int] = {}
        self._busy: dict[str, int] = {}
        self._placed: list[tuple[Placed, int, int]] = []
        self._tile_overlaps: list[Overlap] = []
        self._macs_executed = 0
        if plan.input_mode == "overwrite":
            for port in plan.graph.inputs:
                self._spans[port.tensor] = _Span(0, 0)
                self._sizes[port.tensor] = self._storage.map_bytes(port.tensor)

    def program(self) -> Program:
        self._check_counts()
        buffers = [
            Buffer(name, self._sizes[name], span.first, span.last)
            for name, span in self._spans.items()
        ]
        for name, busy in self._busy.items():
            first = (busy & -busy).bit_length() - 1
            last = busy.bit_length() - 1
            has_gaps = busy != ((1 << (last - first + 1)) - 1) << first
            size = self._sizes[name]
            buffers.append(Buffer(name, size, first, last, busy if has_gaps else None))
        buffers += [Buffer(name, 0, 0, 0) for name in self._unused()]
        if self._plan.input_mode == "stream":
            buffers.append(
                Buffer(cursor_name(self._graph), CURSOR_BYTES, 0, max(len(self._script) - 1, 0))
            )
        buffers.sort(key=lambda buffer: (buffer.first, buffer.name))
        return Program(
            self._graph,
            tuple(self._steps),
            tuple(self._script),
            tuple(buffers),
            tuple(self._overlaps()),
            tuple(self._segments),
            tuple(self._pairs),
            self._macs_executed,
            self._plan.input_mode,
            self._plan.output_mode,
        ).verify()

    def _unused(self) -> Iterator[str]:
        """Buffers of steps that never fire, since no output depends on them: they need a name only."""
        fired = {firings.step for firings in self._script}
        names: dict[str, None] = {}
        for index, step in enumerate(self._steps):
            names.update((o.buffer, None) for o in (*step.operands, step.output))
            if index not in fired and step.scratch:
                names[step.scratch] = None
        for pair in self._pairs:
            names.update({pair.kept: None, pair.tile: None})
        known = {"", *self._spans, *self._busy}
        return (name for name in names if name not in known)

    def _check_counts(self) -> None:
        most = max((f.row + f.count for f in self._script), default=0)
        if max(most, len(self._steps)) > MAX_FIRINGS:
            raise UnsupportedError(
                f"model '{self._graph.name}': {len(self._steps)} layers over maps of up to {most} "
                f"rows; at most {MAX_FIRINGS} of each can be scheduled"
            )

    def add_segment(self, planned: PlannedSegment, *, hands_over: bool = False) -> None:
        """Append the steps of a segment; the first one takes the rows of a streamed input.

        hands_over: it is the last one, behind or in which those of a streamed output leave.
        """
        if planned.primitive in ("H", "B"):
            self._add_tiles(planned)
            if hands_over:
                self._add_output()
            return
        segment = SegmentBuilder(self._storage, self._choices, planned, len(self._steps))
        takes_input = self._streamed and not self._steps
        if takes_input:
            segment.add_input(self._graph.inputs[0].tensor)
        for name in planned.nodes:
            if name in self._choices:
                segment.add(self._calls[name])
            elif self._calls[name].output.name in self._plan.repeats.pulled:
                segment.add_input(self._calls[name].output.name, name)
        if takes_input and planned.primitive == "C":
            self._add_held_rows(segment)
        if hands_over and planned.primitive == "C":
            segment.add_output(self._graph.outputs[0].tensor)
        self._append(segment, planned.primitive)
        if hands_over and planned.primitive != "C":
            self._add_output()

    def _add_held_rows(self, segment: SegmentBuilder) -> None:
        """Copy the outputs that wait in the arena row by row, as soon as there is no more input."""
        for tensor, index in self._storage.copies:
            root = self._storage.root_of(tensor)
            if segment.computes(root) and self._storage.leaves_row_by_row(root):
                segment.add_row_copy(root, index)

    def _add_output(self) -> None:
        """Hand over the rows of the output behind the last layer."""
        planned = PlannedSegment("C", ())
        segment = SegmentBuilder(self._storage, self._choices, planned, len(self._steps))
        segment.add_output(self._graph.outputs[0].tensor)
        self._append(segment, "C")

    def _add_tiles(self, planned: PlannedSegment) -> None:
        """Append the steps of a segment for one strip or patch after the other."""
        first_step, begin = len(self._steps), len(self._script)
        arriving = self._arriving(planned)
        tiles = tiles_of(planned, self._storage, self._choices, arriving=arriving)
        if tiles is None:
            raise UnsupportedError(
                f"model '{self._graph.name}': layers '{planned.nodes[0]}' to '{planned.nodes[-1]}' "
                f"cannot run in {planned.parts} parts"
            )
        shared = SharedBuffers(len(tiles))
        for tile in tiles:
            shared.begin_tile(tile)
            for builder in self._tile_builders(planned, tile, arriving):
                self._append_tile(builder, tile, shared)
            shared.end_tile()
        for name, (size, busy) in shared.buffers.items():
            self._sizes[name], self._busy[name] = size, busy
        self._tile_overlaps += shared.overlaps()
        end = len(self._script)
        steps = len(self._steps) - 1
        segment = Segment(planned.primitive, first_step, steps, begin, end, planned.parts)
        self._segments.append(segment)

    def _arriving(self, planned: PlannedSegment) -> dict[str, str | None]:
        """The tensors into which a segment in parts reads the input, with the layers that do so once
        more."""
        takes_input = self._streamed and not self._steps
        first = {port.tensor: None for port in self._graph.inputs if takes_input}
        made = {self._calls[name].output.name: name for name in planned.nodes}
        return first | {name: made[name] for name in self._plan.repeats.pulled if name in made}

    def _tile_builders(
        self, planned: PlannedSegment, tile: Tile, arriving: Mapping[str, str | None]
    ) -> Iterator[SegmentBuilder]:
        """One whose rows flow for a strip; one for each layer of a patch."""
        storage = self._storage.of_tile(tile.stored, tile.layouts)
        names = tuple(tile.calls)
        parts = [dataclasses.replace(planned, nodes=names)]
        if planned.primitive == "B":
            parts = [PlannedSegment("L", (name,)) for name in names]
            parts[:0] = [PlannedSegment("L", ())] if arriving else []
        for number, part in enumerate(parts):
            segment = SegmentBuilder(storage, tile.choices, part, len(self._steps), tile=tile)
            for tensor, layer in arriving.items() if number == 0 else ():
                segment.add_input(tensor, layer)
            for name in part.nodes:
                segment.add(tile.calls[name])
            yield segment

    def add_copies(self) -> None:
        """Append the copies to outputs whose values lie elsewhere."""
        segment = SegmentBuilder(
            self._storage, self._choices, PlannedSegment("L", ()), len(self._steps)
        )
        if self._streamed and not self._steps:
            segment.add_input(self._graph.inputs[0].tensor)
        written = {s.output.index for s in self._steps if s.output.place == "model_output"}
        for tensor, index in self._storage.copies:
            if index not in written:
                segment.add_copy(tensor, index)
        self._append(segment, "L")

    def _append(self, segment: SegmentBuilder, primitive: str) -> None:
        if not segment.steps:
            return
        first_step, begin = len(self._steps), len(self._script)
        placed, positions = self._append_steps(segment)
        end = len(self._script)
        self._segments.append(Segment(primitive, first_step, len(self._steps) - 1, begin, end))
        self._add_maps(placed, positions)
        for name, (size, busy) in working_buffers(placed, positions).items():
            self._sizes[name], self._busy[name] = size, busy
        self._placed.append((placed, begin, end))

    def _append_tile(self, segment: SegmentBuilder, tile: Tile, shared: SharedBuffers) -> None:
        placed, positions = self._append_steps(segment)
        outer = [tensor for tensor in placed.whole if tensor not in tile.stored]
        self._add_maps(dataclasses.replace(placed, whole=outer), positions)
        shared.add(segment, placed, positions)

    def _append_steps(self, segment: SegmentBuilder) -> tuple[Placed, list[int]]:
        """The segment and the positions of its firings in the script."""
        placed = segment.placed()
        positions = self._append_script(placed.units, placed.order)
        self._steps += placed.steps
        self._pairs += placed.pairs
        self._macs_executed += placed.macs_executed
        return placed, positions

    def _overlaps(self) -> Iterator[Overlap]:
        yield from self._tile_overlaps
        for placed, begin, end in self._placed:
            dying = [
                tensor
                for tensor, span in self._spans.items()
                if span.first < end and begin <= span.last < end
            ]
            yield from overlaps_of(self._storage, placed, dying)

    def _append_script(self, units: Sequence[Unit], order: Order) -> list[int]:
        """Add firings to the script; the position of each time."""
        positions = []
        step, first, count = -1, 0, 0
        for unit, number in zip(order.units, order.numbers, strict=True):
            firing = units[unit].firings[number]
            if firing == (step, first + count):
                count += 1
            else:
                if count:
                    self._script.append(Firings(step, first, count))
                (step, first), count = firing, 1
            positions.append(len(self._script))
        if count:
            self._script.append(Firings(step, first, count))
        return positions

    def _add_maps(self, placed: Placed, positions: Sequence[int]) -> None:
        """Whole maps live from their first row, or strip, to the last time that they are read."""
        for tensor in placed.whole:
            life = placed.lives.get(tensor)
            if life is not None and self._storage.in_arena(tensor):
                first, last = positions[life.spans[0][0]], positions[life.spans[-1][1]]
                first = self._spans[tensor].first if tensor in self._spans else first
                self._spans[tensor] = _Span(first, last)
                self._sizes[tensor] = self._storage.map_bytes(tensor)
        for time, unit in enumerate(placed.order.units):
            for read in placed.units[unit].reads:
                if read.tensor in self._spans:
                    self._spans[read.tensor].last = positions[time]
