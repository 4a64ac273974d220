# SPDX-License-Identifier: Apache-2.0
"""All ways in which consecutive layers flow together, with the bytes that each keeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.converters.schedule.facts import Facts, PairOption
from edgekit.converters.schedule.front import fronts
from edgekit.ir import Array
from edgekit.program import BUFFER_ALIGN
from edgekit.window import Axis


@dataclass(frozen=True)
class Goal:
    """What is traded against arena bytes, and how much may be computed again.

    by_macs: multiply-accumulates instead of modelled instructions. extra_macs: how many more than
    the model has are allowed; None: any number.
    """

    by_macs: bool = False
    extra_macs: int | None = 0

    def value(self, cost: Array, macs: Array) -> Array:
        return macs.astype(np.float64) if self.by_macs else cost

    def others(self, macs: Array) -> Array:
        """Measures (points, n) besides bytes and value: MACs, where those are limited as well."""
        limited = self.extra_macs and not self.by_macs
        return macs[:, None] if limited else np.zeros((len(macs), 0), np.int64)

    def tie(self, cost: Array, macs: Array) -> Array:
        return cost if self.by_macs else macs.astype(np.float64)


@dataclass(frozen=True, eq=False)
class Pending:
    """A tensor of the segment that has readers to come; arrays have one entry for each flow.

    ring_bytes: what it takes when all of them have joined. passing: only its producer and its
    consumer see its rows, which then count as their working memory. working: of its producer.
    """

    ring_bytes: Array
    passing: Array
    working: Array

    def take(self, index: Array) -> Pending:
        return Pending(self.ring_bytes[index], self.passing[index], self.working[index])

    def held(self, more: Array) -> Pending:
        """The same where its producer runs while ``more`` bytes are held."""
        return Pending(self.ring_bytes, self.passing, self.working + more)


@dataclass(frozen=True, eq=False)
class Flows:
    """Nondominated ways to run items first to end - 1 together; one entry of each array for each.

    Those of one ``first`` item are compared with each other, and never with those of others. kept:
    bytes of rings and kept rows. working: the largest working memory of a layer. later: how much
    later than row by row the first input is free, in bytes. option, came_from: the pair that came
    last (-1: it was a single layer), and the flow in front of it.
    """

    end: int
    first: Array
    kept: Array
    working: Array
    cost: Array
    macs: Array
    extra_macs: Array
    later: Array
    pending: dict[str, Pending]
    came_from: Array
    option: Array

    def __len__(self) -> int:
        return len(self.kept)

    def take(self, index: Array) -> Flows:
        return dataclasses.replace(
            self,
            first=self.first[index],
            kept=self.kept[index],
            working=self.working[index],
            cost=self.cost[index],
            macs=self.macs[index],
            extra_macs=self.extra_macs[index],
            later=self.later[index],
            pending={name: entry.take(index) for name, entry in self.pending.items()},
            came_from=self.came_from[index],
            option=self.option[index],
        )


def aligned(size: int) -> int:
    """What a buffer takes where another one lies on top of it."""
    return -(-size // BUFFER_ALIGN) * BUFFER_ALIGN


def start(first: int) -> Flows:
    """The one flow of no items."""
    zero = np.zeros(1, np.int64)
    cost = np.zeros(1)
    return Flows(first, zero + first, zero, zero, cost, zero, zero, zero, {}, zero, zero - 1)


def with_item(facts: Facts, flows: Flows) -> Flows:
    """Every flow with one more layer, row by row."""
    item = facts.items[flows.end]
    return _joined(
        facts, flows, "C", item.scratch_bytes, item.sums_bytes, item.cost, item.macs, None, -1
    )


def with_pair(facts: Facts, flows: Flows, number: int) -> Flows:
    """Every flow with the next two layers as a pair, by option ``number``."""
    option = facts.pairs[flows.end][number]
    working = aligned(option.scratch_bytes) + aligned(option.tile_bytes)
    way = option.planned.primitive
    return _joined(
        facts, flows, way, working, option.kept_bytes, option.cost, option.macs, option, number
    )


def _joined(
    facts: Facts,
    flows: Flows,
    way: str,
    own_working: int,
    own_kept: int,
    cost: float,
    macs: int,
    option: PairOption | None,
    number: int,
) -> Flows:
    """Flows with the item or pair behind their end."""
    index = flows.end
    last = index + 1 if option else index
    working = np.full(len(flows), aligned(own_working), np.int64)
    later, pending = flows.later, dict(flows.pending)
    for name in facts.reads[index]:
        tensor = facts.tensors[name]
        if name not in pending:
            if tensor.in_arena and option is not None:
                rows = option.reread_rows * _stride(facts, index)
                later = np.maximum(later, rows * tensor.row_bytes)
            continue
        ring = facts.rings[way][name]
        size = aligned(min(ring.rows, tensor.height) * tensor.row_bytes)
        sizes = np.maximum(pending[name].ring_bytes, size)
        passing = pending[name].passing & ring.passing
        pending[name] = Pending(sizes, passing, pending[name].working)
    kept, largest = flows.kept + aligned(own_kept), flows.working
    ended = [name for name in pending if facts.tensors[name].readers[-1] <= last]
    for name in ended:
        entry = pending.pop(name)
        largest = np.maximum(largest, np.where(entry.passing, entry.working + entry.ring_bytes, 0))
        held = np.where(entry.passing, 0, entry.ring_bytes)
        reads_again = option is not None and option.reread_rows > 0
        if facts.rings[way][name].emptied and not reads_again:
            working = working + entry.ring_bytes
            largest = largest + held
            pending = {other: waiting.held(held) for other, waiting in pending.items()}
        else:
            working = working + np.where(entry.passing, entry.ring_bytes, 0)
            kept = kept + held
    output = facts.tensors[facts.items[last].unit.output]
    if output.readers and not output.must_be_whole:
        zero = np.zeros(len(flows), np.int64)
        pending[output.name] = Pending(zero, zero == 0, working)
    return Flows(
        last + 1,
        flows.first,
        kept,
        np.maximum(largest, working),
        flows.cost + cost,
        flows.macs + macs,
        flows.extra_macs + (macs - option.plain_macs if option else 0),
        later,
        dict(sorted(pending.items())),
        np.arange(len(flows)),
        np.full(len(flows), number),
    )


def _stride(facts: Facts, index: int) -> int:
    """Rows of its input from one output row of an item of a pair to the next."""
    loop = facts.items[index].step.loop
    return loop.rows.stride if loop is not None and isinstance(loop.rows, Axis) else 1


def merged(facts: Facts, flows: Flows, goal: Goal, *, limit: Array) -> Flows:
    """Flows with the same end and the same tensors pending, without those that are dominated.

    Those that exceed the limit in bytes of their first item, or compute too much again, go as well.
    """
    alive = flows.kept + flows.working <= limit[flows.first]
    if goal.extra_macs is not None:
        alive &= flows.extra_macs <= goal.extra_macs
    flows = flows.take(np.flatnonzero(alive))
    value, tie = goal.value(flows.cost, flows.macs), goal.tie(flows.cost, flows.macs)
    others = np.concatenate(
        [_other_measures(facts, flows), goal.others(flows.macs).astype(np.int64)], axis=1
    )
    return flows.take(fronts(flows.first, flows.kept, value, tie, others))


def concatenated(parts: Sequence[Flows]) -> Flows:
    """Flows with the same end and the same tensors pending, one part behind the other."""
    if len(parts) == 1:
        return parts[0]
    arrays = {
        field: np.concatenate([getattr(part, field) for part in parts])
        for field in (
            "first",
            "kept",
            "working",
            "cost",
            "macs",
            "extra_macs",
            "later",
            "came_from",
            "option",
        )
    }
    pending = {
        name: Pending(
            np.concatenate([part.pending[name].ring_bytes for part in parts]),
            np.concatenate([part.pending[name].passing for part in parts]),
            np.concatenate([part.pending[name].working for part in parts]),
        )
        for name in parts[0].pending
    }
    return dataclasses.replace(parts[0], pending=pending, **arrays)


def _other_measures(facts: Facts, flows: Flows) -> Array:
    columns = [flows.working, flows.later]
    for name, entry in flows.pending.items():
        # A producer's memory matters only where a row on top of it exceeds the largest so far.
        floor = flows.working - facts.tensors[name].row_bytes
        working = np.maximum(entry.working, floor)
        columns += [entry.passing, ~entry.passing, entry.ring_bytes, working]
    return np.stack([column.astype(np.int64) for column in columns], axis=1)
