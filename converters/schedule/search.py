# SPDX-License-Identifier: Apache-2.0
"""The search over schedules: the Pareto front of arena bytes and modelled instructions.

A schedule cuts the layers, in their order, into segments. Its peak is the largest of the segments'
and its cost their sum, so the front of all schedules of the first j layers follows from those of
the first i < j and the ways to run layers i to j - 1 as one segment (dynamic programming over
cuts; keeping every nondominated point makes it exact). Inside a segment, the bytes are the rings of
rows that its tensors keep, plus the largest working memory of any of its layers, plus the maps at
its ends, of which the output may overtake the input; how pairs run is chosen for each of them.
MCUNetV2 (Lin et al., 2021) has one such segment, cut into patches; here every segment may be one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.converters.schedule.chases import Chases
from edgekit.converters.schedule.facts import LONGEST_SEGMENT, Facts
from edgekit.converters.schedule.flows import (
    Flows,
    Goal,
    chosen_pairs,
    merged,
    start,
    with_item,
    with_pair,
)
from edgekit.converters.schedule.front import front_within
from edgekit.converters.schedule.plan import Plan, PlannedSegment
from edgekit.converters.schedule.strips import StripFacts, strip_facts
from edgekit.ir import Array
from edgekit.program import CURSOR_BYTES

Progress = Callable[[str], None]
Maker = Callable[[int], PlannedSegment]


@dataclass(frozen=True)
class Candidate:
    """A plan with the arena bytes, instructions and MACs that the model predicts."""

    plan: Plan
    arena_bytes: int
    instructions: float
    macs: int


@dataclass(frozen=True, eq=False)
class _Ways:
    """Ways to run one segment, and what makes the segment of each."""

    peak: Array
    cost: Array
    macs: Array
    segment: Maker


@dataclass(frozen=True, eq=False)
class _Partials:
    """Schedules of the first layers; ``way`` is an index into ``ways``, ``before`` into its start."""

    peak: Array
    cost: Array
    macs: Array
    start: Array
    before: Array
    way: Array
    segments: Sequence[Maker]
    maker: Array


def search(
    facts: Facts,
    goal: Goal | None = None,
    *,
    strips: bool = True,
    progress: Progress = lambda text: None,
) -> list[Candidate]:
    """The front over arena bytes and what the goal names, least bytes first.

    strips: try those as well, wherever the input of a segment can be read again.

    Outputs that are written while rows are still pushed must wait in the arena until the end
    (lower.py): such schedules are searched on their own.
    """
    goal = goal or Goal()
    first = _Search(facts, goal, progress, strips=strips)
    if not first.early_rows:
        return first.candidates()
    held_facts = _with_held_outputs(facts, first.early_rows)
    held = _Search(held_facts, goal, progress, strips=strips)
    found = [*first.candidates(), *held.candidates()]
    size, cost, macs = (
        np.array([getattr(candidate, field) for candidate in found])
        for field in ("arena_bytes", "instructions", "macs")
    )
    return [found[i] for i in first.front(size, cost, macs)]


def _with_held_outputs(facts: Facts, early_rows: Mapping[str, int]) -> Facts:
    """The same where the outputs that are written early wait in the arena: some rows, or all of one
    that layers read as well."""
    tensors = dict(facts.tensors)
    for name, rows in early_rows.items():
        tensor = tensors[name]
        held = {"in_arena": True} if tensor.readers else {"held_rows": rows}
        tensors[name] = dataclasses.replace(tensor, **held)
    return dataclasses.replace(facts, tensors=tensors)


class _Search:
    def __init__(self, facts: Facts, goal: Goal, progress: Progress, *, strips: bool) -> None:
        self._facts, self._goal, self._progress = facts, goal, progress
        self._tries_strips = strips
        self._count = len(facts.items)
        self._chases = Chases(facts)
        self._fixed_bytes = CURSOR_BYTES if facts.input_mode == "stream" else 0
        peaks = [int(self._layer_ways(i).peak[0]) for i in range(self._count)]
        self._limit = max(peaks, default=0)
        self.early_rows = self._chases.early_rows

    def candidates(self) -> list[Candidate]:
        found: list[list[tuple[int, _Ways]]] = [[] for _ in range(self._count + 1)]
        for i in range(self._count):
            self._progress(f"schedule: layer {i + 1} of {self._count}")
            for j, ways in self._ways_from(i):
                found[j].append((i, ways))
        fronts = self._fronts(found)
        in_strips = list(self._strip_ways(fronts[-1])) if self._tries_strips else []
        for i, j, ways in in_strips:
            found[j].append((i, ways))
        if in_strips:
            fronts = self._fronts(found)
        return [self._candidate(fronts, index) for index in range(len(fronts[-1].peak))]

    def _fronts(self, found: Sequence[Sequence[tuple[int, _Ways]]]) -> list[_Partials]:
        """The fronts of the first 0, 1, 2, ... items; ``found`` has the ways by their end."""
        zero = np.zeros(1, np.int64)
        fronts = [_Partials(zero, np.zeros(1), zero, zero, zero, zero, (), zero)]
        for j in range(1, self._count + 1):
            fronts.append(self._joined(fronts, found[j], j))
        return fronts

    def _strip_ways(self, plain: _Partials) -> Iterator[tuple[int, int, _Ways]]:
        """(begin, end, ways) of segments in strips that need less than plans without any."""
        for strips in strip_facts(self._facts, extra_macs=self._goal.extra_macs):
            self._progress(f"schedule: strips up to layer {strips.end} of {self._count}")
            for first in strips.firsts:
                limit = self._bytes_without_strips(plain, strips.added_cost(first, self._facts))
                room = limit - 1 - self._chases.apart_bytes(first, strips.end)
                if room > 0:
                    yield from self._flows_in_strips(strips, first, room)

    def _bytes_without_strips(self, plain: _Partials, added_cost: float) -> int:
        """What plans without strips need that take as long; the least of all where time is no matter."""
        as_fast = plain.cost <= plain.cost.min(initial=np.inf) + max(added_cost, 0.0)
        peaks = plain.peak if self._goal.by_macs else plain.peak[as_fast]
        return int(peaks.min(initial=self._limit))

    def _flows_in_strips(
        self, strips: StripFacts, first: int, room: int
    ) -> Iterator[tuple[int, int, _Ways]]:
        """Of flows with equal MACs the ones with the least bytes count: strips are there to save them."""
        facts, end = strips.facts, strips.end
        goal = dataclasses.replace(self._goal, by_macs=True)
        reached: dict[int, list[Flows]] = {first: [start(first)]}
        history: dict[int, Flows] = {}
        for j in range(first, end + 1):
            if j in reached:
                history[j] = merged(facts, reached.pop(j), goal, limit=room)
                if j < end and len(history[j]):
                    self._extend(facts, reached, history[j])
        flows = history.get(end)
        if flows is None or len(flows) == 0:
            return
        peak = self._chases.apart_bytes(first, end) + flows.kept + flows.working
        keep = self.front(peak, flows.cost, flows.macs)
        items = facts.items[first:end]
        names = tuple(item.name for item in items if item.step.kernel is not None)

        def segment(way: int) -> PlannedSegment:
            pairs = chosen_pairs(facts, history, end, int(keep[way]))
            planned = tuple(option.planned for option in pairs)
            return PlannedSegment("H", names, planned, parts=strips.parts)

        yield first, end, _Ways(peak[keep], flows.cost[keep], flows.macs[keep], segment)

    def _joined(
        self, fronts: Sequence[_Partials], found: Sequence[tuple[int, _Ways]], end: int
    ) -> _Partials:
        """The front of all schedules that end with one of the ways found."""
        columns: list[list[Array]] = [[], [], [], [], [], [], []]
        for number, (i, ways) in enumerate(found):
            before, way = np.meshgrid(
                np.arange(len(fronts[i].peak)), np.arange(len(ways.peak)), indexing="ij"
            )
            before, way = before.ravel(), way.ravel()
            values = (
                np.maximum(fronts[i].peak[before], ways.peak[way]),
                fronts[i].cost[before] + ways.cost[way],
                fronts[i].macs[before] + ways.macs[way],
                np.full(len(way), i),
                before,
                way,
                np.full(len(way), number),
            )
            for column, value in zip(columns, values, strict=True):
                column.append(value)
        peak, cost, macs, begin, before, way, maker = map(np.concatenate, columns)
        if self._goal.extra_macs is not None:
            within = np.flatnonzero(macs <= self._macs_before(end) + self._goal.extra_macs)
            peak, cost, macs, begin, before, way, maker = (
                column[within] for column in (peak, cost, macs, begin, before, way, maker)
            )
        keep = self.front(peak, cost, macs)
        makers = [ways.segment for _, ways in found]
        return _Partials(
            peak[keep],
            cost[keep],
            macs[keep],
            begin[keep],
            before[keep],
            way[keep],
            makers,
            maker[keep],
        )

    def _macs_before(self, end: int) -> int:
        return sum(item.macs for item in self._facts.items[:end])

    def front(self, peak: Array, cost: Array, macs: Array) -> Array:
        goal = self._goal
        return front_within(peak, goal.value(cost, macs), goal.tie(cost, macs), goal.others(macs))

    def _candidate(self, fronts: Sequence[_Partials], index: int) -> Candidate:
        last = fronts[-1]
        segments: list[PlannedSegment] = []
        end, at = self._count, index
        while end > 0:
            partials = fronts[end]
            segments.append(partials.segments[partials.maker[at]](int(partials.way[at])))
            end, at = int(partials.start[at]), int(partials.before[at])
        plan = Plan(
            self._facts.graph,
            self._with_views(segments[::-1]),
            self._facts.input_mode,
            self._facts.output_mode,
            self._facts.repeats,
        ).verify()
        return Candidate(
            plan,
            int(last.peak[index]) + self._fixed_bytes,
            float(last.cost[index]),
            int(last.macs[index]),
        )

    def _with_views(self, segments: Sequence[PlannedSegment]) -> tuple[PlannedSegment, ...]:
        """Give the nodes that are views, and have no step, to the segment in front of them."""
        names = [node.name for node in self._facts.graph.nodes]
        items = {item.name for item in self._facts.items}
        position, found = 0, []
        if not segments:
            return (PlannedSegment("L", tuple(names)),)  # nothing but views
        for number, segment in enumerate(segments):
            last = names.index(segment.nodes[-1]) if segment.nodes else position - 1
            while last + 1 < len(names) and names[last + 1] not in items:
                last += 1
            if number == len(segments) - 1:
                last = len(names) - 1
            found.append(dataclasses.replace(segment, nodes=tuple(names[position : last + 1])))
            position = last + 1
        return tuple(found)

    def _ways_from(self, i: int) -> Iterator[tuple[int, _Ways]]:
        """The ways to run every segment that begins with item i, with the end behind it."""
        yield i + 1, self._layer_ways(i)
        for number, option in enumerate(self._facts.pairs.get(i, ())):
            if option.planned.primitive == "E":
                yield i + 2, self._whole_pair_ways(i, number)
        reached: dict[int, list[Flows]] = {i: [start(i)]}
        history: dict[int, Flows] = {}
        for j in range(i, self._count + 1):
            if j not in reached:
                continue
            flows = merged(self._facts, reached.pop(j), self._goal, limit=self._limit)
            history[j] = flows
            if len(flows) == 0:
                continue
            if j > i:
                yield from self._flow_ways(i, flows, history)
            if j < self._count and j - i < LONGEST_SEGMENT:
                self._extend(self._facts, reached, flows)

    def _extend(self, facts: Facts, reached: dict[int, list[Flows]], flows: Flows) -> None:
        j = flows.end
        reached.setdefault(j + 1, []).append(with_item(facts, flows))
        for number, option in enumerate(facts.pairs.get(j, ())):
            if option.planned.primitive != "E" and (option.is_free or self._goal.extra_macs != 0):
                reached.setdefault(j + 2, []).append(with_pair(facts, flows, number))

    def _flow_ways(
        self, i: int, flows: Flows, history: Mapping[int, Flows]
    ) -> Iterator[tuple[int, _Ways]]:
        """The ways that flows of items i to j - 1 become a segment."""
        j = flows.end
        if j == i + 1 and i > 0:
            return  # row by row alone is what L does, better
        if i == 0 and self._chases.writes_early(j):
            return
        maps = self._chases.map_bytes(i, j)
        ends = [self._end(i, flows, number) for number in range(len(flows))]
        bytes_with = {end: maps.bytes_with(*end) for end in set(ends)}
        whole = np.array([bytes_with[end] for end in ends], np.int64)
        peak = whole + flows.kept + flows.working
        keep = self.front(peak, flows.cost, flows.macs)
        items = self._facts.items[i:j]
        names = tuple(item.name for item in items if item.is_node)
        accumulating = tuple(item.name for item in items if item.accumulates)

        def segment(way: int) -> PlannedSegment:
            pairs = chosen_pairs(self._facts, history, j, int(keep[way]))
            return PlannedSegment("C", names, tuple(o.planned for o in pairs), accumulating)

        yield j, _Ways(peak[keep], flows.cost[keep], flows.macs[keep], segment)

    def _end(self, i: int, flows: Flows, number: int) -> tuple[int, str]:
        """How much later a flow's inputs are free, and the way in which it ends."""
        option = int(flows.option[number])
        if option < 0:
            return int(flows.later[number]), "C"
        first = flows.end - 2
        later = 0 if first == i else int(flows.later[number])
        return later, self._facts.pairs[first][option].planned.primitive

    def _layer_ways(self, i: int) -> _Ways:
        item = self._facts.items[i]
        flows = item.step.kernel is None
        peak = self._chases.layer_bytes(i) + (0 if flows else item.whole_scratch_bytes)
        planned = PlannedSegment("C" if flows else "L", (item.name,) if item.is_node else ())
        return _one_way(peak, item.whole_cost, item.macs, planned)

    def _whole_pair_ways(self, i: int, number: int) -> _Ways:
        option = self._facts.pairs[i][number]
        peak = self._chases.apart_bytes(i, i + 2) + option.kept_bytes + option.scratch_bytes
        names = (option.planned.producer, option.planned.consumer)
        planned = PlannedSegment("C", names, (option.planned,))
        return _one_way(peak, option.cost, option.macs, planned)


def _one_way(peak: int, cost: float, macs: int, planned: PlannedSegment) -> _Ways:
    return _Ways(np.array([peak]), np.array([cost]), np.array([macs]), lambda way: planned)
