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

from edgekit.converters.schedule.bound import Bound, KnownPlans
from edgekit.converters.schedule.chases import Chases
from edgekit.converters.schedule.facts import LONGEST_SEGMENT, Facts
from edgekit.converters.schedule.flows import Flows, Goal
from edgekit.converters.schedule.front import distinct, fronts
from edgekit.converters.schedule.plan import Plan, PlannedSegment
from edgekit.converters.schedule.strips import StripFacts, strip_facts
from edgekit.converters.schedule.walk import Walk
from edgekit.converters.schedule.ways import Ways, one_way, together
from edgekit.ir import Array
from edgekit.program import CURSOR_BYTES

Progress = Callable[[str], None]
TIGHT = 0.98
"""The share of all bytes from which on a segment is one that others have to be as large as."""

FEW_FLOWS = 16
"""Of each first item, in the search for plans that bound the exact one."""


@dataclass(frozen=True)
class Candidate:
    """A plan with the arena bytes, instructions and MACs that the model predicts.

    tight: of the one that needs the least, the nodes of every segment that takes (nearly) as much,
    and whose layers do so however they are cut.
    """

    plan: Plan
    arena_bytes: int
    instructions: float
    macs: int
    tight: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, eq=False)
class _Partials:
    """Schedules of the first layers: of the ``before``-th of those that end at ``start``, and a way."""

    peak: Array
    cost: Array
    macs: Array
    start: Array
    before: Array
    way: Array
    ways: Ways

    def __len__(self) -> int:
        return len(self.peak)


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


def _least_peak(found: Mapping[int, Ways], first: int, end: int) -> int:
    """The least bytes of all schedules of some items alone."""
    least = np.full(end - first + 1, np.iinfo(np.int64).max)
    least[0] = 0
    for last in range(first + 1, end + 1):
        ways = found[last]
        own = ways.first >= first
        peaks = np.maximum(least[ways.first[own] - first], ways.peak[own])
        least[last - first] = peaks.min(initial=least[-1])
    return int(least[-1])


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
        self._strips = list(strip_facts(facts, extra_macs=goal.extra_macs)) if strips else []
        self._count = len(facts.items)
        self._chases = Chases(facts)
        self._fixed_bytes = CURSOR_BYTES if facts.input_mode == "stream" else 0
        self._layers = [self._layer_way(i) for i in range(self._count)]
        self._limit = max((int(way.peak[0]) for way in self._layers), default=0)
        self.early_rows = self._chases.early_rows

    def candidates(self) -> list[Candidate]:
        found = self._plain_ways(self._bound())
        fronts = self._fronts(found, [])
        in_strips = self._strip_ways(fronts[-1])
        if in_strips:
            for end, ways in in_strips.items():
                found[end] = together([found[end], *ways])
            fronts = self._fronts(found, fronts[: min(in_strips)])
        candidates = [self._candidate(fronts, index) for index in range(len(fronts[-1]))]
        if candidates:
            tight = tuple(self._tight_segments(fronts, found))
            candidates[0] = dataclasses.replace(candidates[0], tight=tight)
        return candidates

    def _tight_segments(
        self, fronts: Sequence[_Partials], found: Mapping[int, Ways]
    ) -> Iterator[tuple[str, ...]]:
        """Those of the plan with the least bytes."""
        limit = TIGHT * int(fronts[-1].peak[0])
        end, at = self._count, 0
        while end > 0:
            partials = fronts[end]
            way, first = int(partials.way[at]), int(partials.start[at])
            if partials.ways.peak[way] >= limit and _least_peak(found, first, end) >= limit:
                yield tuple(item.name for item in self._facts.items[first:end])
            end, at = first, int(partials.before[at])

    def _bound(self) -> Bound:
        """From a search that follows few flows: good plans, but not all."""
        few = self._fronts(self._plain_ways(most=FEW_FLOWS), [])[-1]
        known = KnownPlans(few.peak, few.cost, few.macs)
        waiting = np.array([self._chases.waiting_bytes(i) for i in range(self._count)])
        every = [self._facts, *(strips.facts for strips in self._strips)]
        return Bound(self._goal, known, every=every, waiting=waiting)

    def _plain_ways(self, bound: Bound | None = None, most: int | None = None) -> dict[int, Ways]:
        """Every way to run a segment, but those in strips, by its end."""
        walk = Walk(
            self._facts,
            self._goal,
            firsts=range(self._count),
            limit=np.full(self._count, self._limit),
            longest=LONGEST_SEGMENT,
            end=self._count,
            bound=bound,
            most=most,
        )
        flowing = {}
        for flows in walk.ends():
            self._progress(f"schedule: layer {flows.end + 1} of {self._count}")
            flowing[flows.end] = self._flow_ways(flows, walk)
        found = {}
        for end in range(1, self._count + 1):
            ways = [*self._whole_pair_ways(end - 2), self._layers[end - 1]]
            ways += [flowing[end]] if end in flowing else []
            found[end] = together(ways).by_first()
        return found

    def _fronts(self, found: Mapping[int, Ways], known: Sequence[_Partials]) -> list[_Partials]:
        """The fronts of the first 0, 1, 2, ... items; ``found`` has the ways by their end."""
        zero = np.zeros(1, np.int64)
        nothing = one_way(0, 0, 0.0, 0, PlannedSegment("L", ()))
        fronts = [*known] or [_Partials(zero, np.zeros(1), zero, zero, zero, zero, nothing)]
        while len(fronts) <= self._count:
            fronts.append(self._joined(fronts, found[len(fronts)]))
        return fronts

    def _strip_ways(self, plain: _Partials) -> dict[int, list[Ways]]:
        """Ways to run segments in strips, by their end, that need less than plans without any."""
        found: dict[int, list[Ways]] = {}
        for strips in self._strips:
            self._progress(f"schedule: strips up to layer {strips.end} of {self._count}")
            room = np.zeros(self._count, np.int64)
            for first in strips.firsts:
                limit = self._bytes_without_strips(plain, strips.added_cost(first, self._facts))
                room[first] = limit - 1 - self._chases.apart_bytes(first, strips.end)
            if (ways := self._flows_in_strips(strips, room)) is not None:
                found.setdefault(strips.end, []).append(ways)
        return found

    def _bytes_without_strips(self, plain: _Partials, added_cost: float) -> int:
        """What plans without strips need that take as long; the least of all where time is no matter."""
        as_fast = plain.cost <= plain.cost.min(initial=np.inf) + max(added_cost, 0.0)
        peaks = plain.peak if self._goal.by_macs else plain.peak[as_fast]
        return int(peaks.min(initial=self._limit))

    def _flows_in_strips(self, strips: StripFacts, room: Array) -> Ways | None:
        """Of flows with equal MACs the ones with the least bytes count: strips are there to save them.

        room: the most bytes of the flows from each first item on.
        """
        facts, end = strips.facts, strips.end
        firsts = [first for first in strips.firsts if room[first] > 0]
        goal = dataclasses.replace(self._goal, by_macs=True)
        walk = Walk(facts, goal, firsts=firsts, limit=room, longest=end, end=end)
        flows = next((flows for flows in walk.ends() if flows.end == end), None)
        if flows is None:
            return None
        apart = np.array([self._chases.apart_bytes(i, end) for i in range(self._count)])
        peak = apart[flows.first] + flows.kept + flows.working
        # A way that begins later may do as well as one that begins earlier, and is found first.
        keep = self._fronts_of(-flows.first, peak, flows.cost, flows.macs)
        flows, peak = flows.take(keep), peak[keep]

        def segment(way: int) -> PlannedSegment:
            items = facts.items[int(flows.first[way]) : end]
            names = tuple(item.name for item in items if item.step.kernel is not None)
            planned = tuple(option.planned for option in walk.pairs(end, int(keep[way])))
            return PlannedSegment("H", names, planned, parts=strips.parts)

        return Ways(flows.first, end - flows.first, peak, flows.cost, flows.macs, segment)

    def _joined(self, fronts: Sequence[_Partials], ways: Ways) -> _Partials:
        """The front of all schedules that end with one of the ways; ``fronts``: of those before."""
        begins = np.flatnonzero(np.diff(ways.run, prepend=-1))
        counts = np.diff(begins, append=len(ways))
        firsts = ways.first[begins]
        known = np.array([len(partials) for partials in fronts])
        sizes = known[firsts] * counts
        run = np.repeat(np.arange(len(begins)), sizes)
        number = np.arange(len(run)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        before, way = number // counts[run], begins[run] + number % counts[run]
        start = firsts[run]
        at = (np.cumsum(known) - known)[start] + before
        peak = np.maximum(np.concatenate([p.peak for p in fronts])[at], ways.peak[way])
        cost = np.concatenate([p.cost for p in fronts])[at] + ways.cost[way]
        macs = np.concatenate([p.macs for p in fronts])[at] + ways.macs[way]
        within = np.arange(len(macs))
        if self._goal.extra_macs is not None:
            most = self._macs_before(len(fronts)) + self._goal.extra_macs
            within = np.flatnonzero(macs <= most)
        keep = within[self.front(peak[within], cost[within], macs[within])]
        return _Partials(
            peak[keep], cost[keep], macs[keep], start[keep], before[keep], way[keep], ways
        )

    def _macs_before(self, end: int) -> int:
        return sum(item.macs for item in self._facts.items[:end])

    def front(self, peak: Array, cost: Array, macs: Array) -> Array:
        return self._fronts_of(np.zeros(len(peak), np.int64), peak, cost, macs)

    def _fronts_of(self, group: Array, peak: Array, cost: Array, macs: Array) -> Array:
        goal = self._goal
        value, tie = goal.value(cost, macs), goal.tie(cost, macs)
        return fronts(group, peak, value, tie, goal.others(macs))

    def _candidate(self, fronts: Sequence[_Partials], index: int) -> Candidate:
        last = fronts[-1]
        segments: list[PlannedSegment] = []
        end, at = self._count, index
        while end > 0:
            partials = fronts[end]
            segments.append(partials.ways.segment(int(partials.way[at])))
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

    def _flow_ways(self, flows: Flows, walk: Walk) -> Ways:
        """The ways in which flows become segments."""
        end = flows.end
        # Row by row alone is what L does, better.
        is_segment = (flows.first < end - 1) | ((flows.first == 0) & (end == 1))
        if self._chases.writes_early(end):
            is_segment &= flows.first > 0
        chosen = np.flatnonzero(is_segment)
        flows = flows.take(chosen)
        peak = self._whole_bytes(flows) + flows.kept + flows.working
        keep = self._fronts_of(flows.first, peak, flows.cost, flows.macs)
        flows, peak, chosen = flows.take(keep), peak[keep], chosen[keep]

        def segment(way: int) -> PlannedSegment:
            items = self._facts.items[int(flows.first[way]) : end]
            names = tuple(item.name for item in items if item.is_node)
            accumulating = tuple(item.name for item in items if item.accumulates)
            pairs = tuple(option.planned for option in walk.pairs(end, int(chosen[way])))
            return PlannedSegment("C", names, pairs, accumulating)

        return Ways(flows.first, flows.first, peak, flows.cost, flows.macs, segment)

    def _whole_bytes(self, flows: Flows) -> Array:
        """Bytes of the whole maps while each of the flows is a segment."""
        end = flows.end
        options = self._facts.pairs.get(end - 2, ())
        ways = ["C", *(option.planned.primitive for option in options)]
        is_pair = flows.option >= 0
        later = np.where(is_pair & (flows.first == end - 2), 0, flows.later)
        columns = (flows.first, later, flows.option + 1)
        cases, case_of = distinct(columns)
        found = [
            self._chases.map_bytes(first, end).bytes_with(late, ways[way])
            for first, late, way in zip(
                *(column[cases].tolist() for column in columns), strict=True
            )
        ]
        return np.array(found, np.int64)[case_of]

    def _layer_way(self, i: int) -> Ways:
        item = self._facts.items[i]
        flows = item.step.kernel is None
        peak = self._chases.layer_bytes(i) + (0 if flows else item.whole_scratch_bytes)
        planned = PlannedSegment("C" if flows else "L", (item.name,) if item.is_node else ())
        return one_way(i, peak, item.whole_cost, item.macs, planned)

    def _whole_pair_ways(self, i: int) -> Iterator[Ways]:
        """Items i and i + 1 as a pair that runs over the whole map, block by block."""
        for option in self._facts.pairs.get(i, ()):
            if option.planned.primitive == "E":
                peak = self._chases.apart_bytes(i, i + 2) + option.kept_bytes + option.scratch_bytes
                names = (option.planned.producer, option.planned.consumer)
                planned = PlannedSegment("C", names, (option.planned,))
                yield one_way(i, peak, option.cost, option.macs, planned)
