# SPDX-License-Identifier: Apache-2.0
"""Every plan of a small model: all cuts, and in every segment all ways to run its pairs."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgekit.converters.choose import Choice
from edgekit.converters.lowering.storage import Storage
from edgekit.converters.lowering.tiles import tiles_of
from edgekit.converters.schedule.facts import Facts, Item, PairOption
from edgekit.converters.schedule.plan import Plan, PlannedSegment
from edgekit.converters.schedule.strips import STRIPS, strip_facts


@dataclass(frozen=True, eq=False)
class CostedPlan:
    """A plan with its modelled instructions."""

    plan: Plan
    instructions: float


def every_plan(facts: Facts, choices: Mapping[str, Choice] | None = None) -> Iterator[CostedPlan]:
    """What the search chooses from: single layers run layerwise, pairs E are segments of their own.

    choices: those of the model, where segments shall run in strips as well.
    """
    strips = _Strips(facts, choices) if choices else None
    count = len(facts.items)
    for mask in range(2 ** (count - 1)):
        cuts = [0, *(i + 1 for i in range(count - 1) if mask >> i & 1), count]
        ways = [
            [*_ways(facts, i, j), *(strips.ways(i, j) if strips else ())]
            for i, j in itertools.pairwise(cuts)
        ]
        for chosen in itertools.product(*ways):
            segments = tuple(segment for segment, _ in chosen)
            modes = (facts.input_mode, facts.output_mode)
            plan = Plan(facts.graph, segments, *modes).verify()
            yield CostedPlan(plan, sum(cost for _, cost in chosen))


def _ways(facts: Facts, i: int, j: int) -> Iterator[tuple[PlannedSegment, float]]:
    """The segments of items i to j - 1, with their costs."""
    items, nodes = facts.items[i:j], _nodes(facts, i, j)
    if len(items) == 1 and items[0].step.kernel is not None:
        yield PlannedSegment("L", nodes), items[0].whole_cost
        return
    accumulating = tuple(item.name for item in items if item.accumulates)
    positions = [p for p in sorted(facts.pairs) if i <= p and p + 1 < j]
    for options in itertools.product(*((None, *facts.pairs[p]) for p in positions)):
        pairs = {p: o for p, o in zip(positions, options, strict=True) if o is not None}
        whole = any(option.planned.primitive == "E" for option in pairs.values())
        if any(p + 1 in pairs for p in pairs) or (whole and len(items) > 2):
            continue
        planned = tuple(option.planned for option in pairs.values())
        yield PlannedSegment("C", nodes, planned, accumulating), _cost(items, i, pairs)


class _Strips:
    """The segments that can run in strips."""

    def __init__(self, facts: Facts, choices: Mapping[str, Choice]) -> None:
        self._facts, self._choices = facts, choices
        self._storage = Storage(facts.graph, choices, arena_input=facts.input_mode != "resident")
        self._known = {
            (first, strips.end, strips.parts): strips.facts
            for strips in strip_facts(facts, extra_macs=None)
            for first in strips.firsts
        }

    def ways(self, i: int, j: int) -> Iterator[tuple[PlannedSegment, float]]:
        """Those of items i to j - 1 in every way to run their pairs; what the search overlooks is free."""
        arrives = i == 0 and self._facts.input_mode in ("stream", "pull")
        if (arrives and (j == 1 or self._facts.input_mode == "stream")) or self._hands_over(j):
            return
        arriving = [self._facts.graph.inputs[0].tensor] if arrives else []
        nodes = _nodes(self._facts, i, j)
        for parts in STRIPS:
            planned = PlannedSegment("H", nodes, parts=parts)
            if tiles_of(planned, self._storage, self._choices, arriving=arriving) is None:
                continue
            known = self._known.get((i, j, parts))
            for pairs in _pairs_in_rows(self._facts, i, j):
                cost = 0.0
                if known is not None:
                    narrow = {p: _same(known.pairs[p], option) for p, option in pairs.items()}
                    cost = _cost(known.items[i:j], i, narrow)
                options = tuple(option.planned for option in pairs.values())
                yield dataclasses.replace(planned, pairs=options), cost

    def _hands_over(self, j: int) -> bool:
        return self._facts.output_mode == "stream" and j == len(self._facts.items)


def _same(options: Sequence[PairOption], wanted: PairOption) -> PairOption:
    return next(option for option in options if option.planned == wanted.planned)


def _pairs_in_rows(facts: Facts, i: int, j: int) -> Iterator[dict[int, PairOption]]:
    positions = [p for p in sorted(facts.pairs) if i <= p and p + 1 < j]
    for options in itertools.product(*((None, *facts.pairs[p]) for p in positions)):
        pairs = {p: o for p, o in zip(positions, options, strict=True) if o is not None}
        flows = all(option.planned.primitive in ("F", "R") for option in pairs.values())
        if flows and not any(p + 1 in pairs for p in pairs):
            yield pairs


def _cost(items: Sequence[Item], first: int, pairs: dict[int, PairOption]) -> float:
    alone = (
        item.cost
        for index, item in enumerate(items, start=first)
        if index not in pairs and index - 1 not in pairs
    )
    return sum(alone) + sum(option.cost for option in pairs.values())


def _nodes(facts: Facts, i: int, j: int) -> tuple[str, ...]:
    """The nodes of items i to j - 1, with the views behind each; those in front go to the first."""
    names = [node.name for node in facts.graph.nodes]
    begins = [names.index(item.name) for item in facts.items if item.step.kernel is not None]
    arrives = int(facts.input_mode in ("stream", "pull"))
    leaves = int(facts.output_mode == "stream")
    begins = [0] * arrives + [0, *begins[1:]] + [len(names)] * (leaves + 1)
    return tuple(names[begins[i] : begins[j]])
