# SPDX-License-Identifier: Apache-2.0
"""The walk over the layers on which flows from all first items grow at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from edgekit.converters.schedule.bound import Bound
from edgekit.converters.schedule.facts import Facts, PairOption
from edgekit.converters.schedule.flows import (
    Flows,
    Goal,
    concatenated,
    merged,
    start,
    with_item,
    with_pair,
)
from edgekit.ir import Array


@dataclass(frozen=True, eq=False)
class _Steps:
    """How all flows with one end came about: ``first``, ``option``, ``came_from`` of Flows."""

    first: Array
    option: Array
    came_from: Array


class Walk:
    """The nondominated flows from some first items on, end by end.

    limit: the most bytes of flows, by first item. longest: the most items of a flow. end: where the
    last ones end. bound: tells which flows are of no use. most: flows of each first item that go on
    where the walk need not be exact.
    """

    def __init__(
        self,
        facts: Facts,
        goal: Goal,
        *,
        firsts: Collection[int],
        limit: Array,
        longest: int,
        end: int,
        bound: Bound | None = None,
        most: int | None = None,
    ) -> None:
        self._facts, self._goal, self._limit = facts, goal, limit
        self._bound, self._most = bound, most
        self._firsts, self._longest, self._end = frozenset(firsts), longest, end
        self._steps: dict[int, _Steps] = {}
        self._reached: dict[int, list[Flows]] = {}

    def ends(self) -> Iterator[Flows]:
        """The flows of every end, with nothing pending."""
        for end in range(min(self._firsts, default=0), self._end + 1):
            groups = self._groups(end)
            if not groups:
                continue
            flows = concatenated([dataclasses.replace(g, pending={}) for g in groups])
            self._steps[end] = _Steps(flows.first, flows.option, flows.came_from)
            yield flows
            if end < self._end:
                self._extend(end, groups)

    def _groups(self, end: int) -> list[Flows]:
        """The flows with one end, by the tensors that are pending."""
        parts = self._reached.pop(end, [])
        if end in self._firsts and end < self._end:
            parts.append(start(end))
        alike: dict[tuple[str, ...], list[Flows]] = {}
        for part in parts:
            alike.setdefault(tuple(part.pending), []).append(part)
        found = (self._merged(group) for group in alike.values())
        return [flows for flows in found if len(flows)]

    def _merged(self, parts: list[Flows]) -> Flows:
        flows = concatenated(parts)
        if self._bound is not None:
            flows = flows.take(np.flatnonzero(self._bound.may_be_better(flows)))
        flows = merged(self._facts, flows, self._goal, limit=self._limit)
        return flows if self._most is None else flows.take(_spread(flows, self._most))

    def _extend(self, end: int, groups: list[Flows]) -> None:
        before = 0
        for group in groups:
            index = np.flatnonzero(end - group.first < self._longest)
            if len(index):
                self._extend_group(end, group.take(index), before + index)
            before += len(group)

    def _extend_group(self, end: int, group: Flows, number: Array) -> None:
        """Add an item or a pair; ``number``: of each flow among all with its end."""
        grown = [with_item(self._facts, group)]
        for option_number, option in enumerate(self._facts.pairs.get(end, ())):
            if option.planned.primitive != "E" and (option.is_free or self._goal.extra_macs != 0):
                grown.append(with_pair(self._facts, group, option_number))
        for flows in grown:
            part = dataclasses.replace(flows, came_from=number)
            self._reached.setdefault(flows.end, []).append(part)

    def pairs(self, end: int, number: int) -> list[PairOption]:
        """The pairs of a flow, in order; ``number``: its own among all with its end."""
        found = []
        first = int(self._steps[end].first[number])
        while end > first:
            steps = self._steps[end]
            option, number = int(steps.option[number]), int(steps.came_from[number])
            end -= 1 if option < 0 else 2
            if option >= 0:
                found.append(self._facts.pairs[end][option])
        return found[::-1]


def _spread(flows: Flows, most: int) -> Array:
    """Of the flows of each first item so many, from the one of the least bytes to that of the most."""
    order = np.lexsort((flows.kept + flows.working, flows.first))
    begins = np.flatnonzero(np.diff(flows.first[order], prepend=-1))
    counts = np.diff(begins, append=len(order))
    chosen = [
        begin + np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(np.int64))
        for begin, count in zip(begins, counts, strict=True)
    ]
    return np.sort(order[np.concatenate(chosen)]) if chosen else order
