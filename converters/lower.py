# SPDX-License-Identifier: Apache-2.0
"""Turn a planned model into steps over buffers, in the order in which their rows are computed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgekit.converters.choose import Choice
from edgekit.converters.overlaps import Placed, overlaps_of
from edgekit.converters.schedule.order import Order, Unit
from edgekit.converters.schedule.plan import Plan, PlannedSegment
from edgekit.converters.segment import SegmentBuilder
from edgekit.converters.storage import Storage
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
    program = _lowered(plan, choices, arena_output=False)
    if plan.input_mode == "stream" and _writes_before_the_last_row(program):
        # The caller hands the output over when all rows are there: until then it is in the arena.
        program = _lowered(plan, choices, arena_output=True)
    return program


def _lowered(plan: Plan, choices: Mapping[str, Choice], *, arena_output: bool) -> Program:
    lowering = _Lowering(plan, choices, arena_output=arena_output)
    for segment in plan.segments:
        lowering.add_segment(segment)
    lowering.add_copies()
    return lowering.program()


def _writes_before_the_last_row(program: Program) -> bool:
    """Whether input is still taken when the first output is written."""
    finish = program.finish_entry()
    return any(program.steps[f.step].op == INPUT_STEP for f in program.script[finish:])


@dataclass
class _Span:
    """Positions of the script between which a whole map is needed."""

    first: int
    last: int


class _Lowering:
    """Builds the steps, segment after segment."""

    def __init__(self, plan: Plan, choices: Mapping[str, Choice], *, arena_output: bool) -> None:
        self._plan = plan
        self._graph = plan.graph
        self._choices = choices
        self._streamed = plan.input_mode in ("stream", "pull")
        arena_input = self._streamed or plan.input_mode == "overwrite"
        self._storage = Storage(
            plan.graph,
            choices,
            arena_input=arena_input,
            arena_output=arena_output,
            pulled=plan.pulled,
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

    def add_segment(self, planned: PlannedSegment) -> None:
        """Append the steps of a segment; the first one takes the rows of a streamed input."""
        segment = SegmentBuilder(self._storage, self._choices, planned, len(self._steps))
        if self._streamed and not self._steps:
            segment.add_input(self._graph.inputs[0].tensor)
        for name in planned.nodes:
            if name in self._choices:
                segment.add(self._calls[name])
            elif self._calls[name].output.name in self._plan.pulled:
                segment.add_input(self._calls[name].output.name, name)
        self._append(segment, planned.primitive)

    def add_copies(self) -> None:
        """Append the copies to outputs whose values lie elsewhere."""
        segment = SegmentBuilder(
            self._storage, self._choices, PlannedSegment("L", ()), len(self._steps)
        )
        if self._streamed and not self._steps:
            segment.add_input(self._graph.inputs[0].tensor)
        for tensor, index in self._storage.copies:
            segment.add_copy(tensor, index)
        self._append(segment, "L")

    def _append(self, segment: SegmentBuilder, primitive: str) -> None:
        if not segment.steps:
            return
        first_step, begin = len(self._steps), len(self._script)
        placed = segment.placed()
        positions = self._append_script(placed.units, placed.order)
        self._steps += placed.steps
        self._pairs += placed.pairs
        self._macs_executed += placed.macs_executed
        end = len(self._script)
        self._segments.append(Segment(primitive, first_step, len(self._steps) - 1, begin, end))
        self._add_buffers(placed, positions)
        self._placed.append((placed, begin, end))

    def _overlaps(self) -> Iterator[Overlap]:
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
        begin = len(self._script)
        for unit, number in zip(order.units, order.numbers, strict=True):
            step, row = units[unit].firings[number]
            last = self._script[-1] if len(self._script) > begin else None
            if last is not None and last.step == step and last.row + last.count == row:
                self._script[-1] = dataclasses.replace(last, count=last.count + 1)
            else:
                self._script.append(Firings(step, row, 1))
            positions.append(len(self._script) - 1)
        return positions

    def _add_buffers(self, placed: Placed, positions: Sequence[int]) -> None:
        for tensor in placed.whole:
            life = placed.lives.get(tensor)
            if life is not None and self._storage.in_arena(tensor):
                first, last = positions[life.spans[0][0]], positions[life.spans[-1][1]]
                self._spans[tensor] = _Span(first, last)
                self._sizes[tensor] = self._storage.map_bytes(tensor)
        for time, unit in enumerate(placed.order.units):
            for read in placed.units[unit].reads:
                if read.tensor in self._spans:
                    self._spans[read.tensor].last = positions[time]
        for tensor, size in placed.rings.items():
            self._sizes[tensor] = size
            self._busy[tensor] = _mask(
                (positions[first], positions[last]) for first, last in placed.lives[tensor].spans
            )
        for name, (size, times) in placed.working.items():
            self._sizes[name] = size
            self._busy[name] = _mask((positions[t], positions[t]) for t in times)


def _mask(spans: Iterator[tuple[int, int]]) -> int:
    mask = 0
    for first, last in spans:
        mask |= ((1 << (last - first + 1)) - 1) << first
    return mask
