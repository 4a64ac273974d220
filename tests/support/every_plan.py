# SPDX-License-Identifier: Apache-2.0
"""Every plan of a small model: all cuts, and in every segment all ways to run its pairs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgekit.converters.schedule.facts import Facts, Item, PairOption
from edgekit.converters.schedule.plan import Plan, PlannedSegment


@dataclass(frozen=True, eq=False)
class CostedPlan:
    """A plan with its modelled instructions."""

    plan: Plan
    instructions: float


def every_plan(facts: Facts) -> Iterator[CostedPlan]:
    """What the search chooses from: single layers run layerwise, pairs E are segments of their own."""
    count = len(facts.items)
    for mask in range(2 ** (count - 1)):
        cuts = [0, *(i + 1 for i in range(count - 1) if mask >> i & 1), count]
        ways = [list(_ways(facts, i, j)) for i, j in itertools.pairwise(cuts)]
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
