# SPDX-License-Identifier: Apache-2.0
"""The order in which the rows of a segment are computed, and how many of them must be kept.

A row is computed when another one needs it, never before: the last layer asks for its rows one by
one, and every layer in front of it computes just what that takes. So a tensor that is read by one
layer never holds more rows than a window of it spans, and where paths of different delay meet, the
rows of the shorter path wait in a ring that is as long as the delay.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array

Firing = tuple[int, int]
"""A step and the row that it computes."""


@dataclass(frozen=True, eq=False)
class Read:
    """What a unit reads of a tensor: rows [first[f], end[f]) in its firing f."""

    tensor: str
    first: Array
    end: Array


@dataclass(frozen=True, eq=False)
class Unit:
    """Steps that fire as one: a layer, or a pair.

    firings: what each firing runs. rows: complete rows of ``output`` behind each firing.
    """

    firings: tuple[Firing, ...]
    reads: tuple[Read, ...]
    output: str
    rows: Array


@dataclass(frozen=True, eq=False)
class Order:
    """Firings of units in time: ``units[t]`` fires at time t, for the ``numbers[t]``-th time."""

    units: tuple[int, ...]
    numbers: tuple[int, ...]


def demand_order(units: Sequence[Unit], wanted: Iterable[str]) -> Order:
    """Fire units until every ``wanted`` tensor is complete, each as late as possible.

    Several wanted tensors advance together, each by its share.
    """
    producer = {unit.output: number for number, unit in enumerate(units)}
    fired = [0] * len(units)
    ends = [[(read.tensor, read.end.tolist()) for read in unit.reads] for unit in units]
    rows = [[0, *unit.rows.tolist()] for unit in units]
    order: list[int] = []
    numbers: list[int] = []

    def lacking(unit: int) -> int | None:
        """The producer of a row that the unit's next firing still lacks."""
        number = fired[unit]
        for tensor, end in ends[unit]:
            source = producer.get(tensor)
            if source is not None and rows[source][fired[source]] < end[number]:
                return source
        return None

    def fire(unit: int) -> None:
        """Fire a unit once, and before it whatever it lacks."""
        stack = [unit]
        while stack:
            top = stack[-1]
            source = lacking(top)
            if source is not None:
                stack.append(source)
                continue
            order.append(top)
            numbers.append(fired[top])
            fired[top] += 1
            stack.pop()

    goals = [producer[tensor] for tensor in wanted]
    totals = [len(unit.firings) for unit in units]
    while open_goals := [goal for goal in goals if fired[goal] < totals[goal]]:
        fire(min(open_goals, key=lambda goal: (fired[goal] / totals[goal], goal)))
    return Order(tuple(order), tuple(numbers))


def with_copies(
    units: Sequence[Unit], order: Order, copies: Sequence[int], *, behind: int
) -> Order:
    """Add the firings of units that copy rows: each once the unit ``behind`` has fired for the last
    time and the row is there."""
    producer = {unit.output: number for number, unit in enumerate(units)}
    ends = [units[copy].reads[0].end.tolist() for copy in copies]
    sources = [producer[units[copy].reads[0].tensor] for copy in copies]
    last = max((time for time, unit in enumerate(order.units) if unit == behind), default=-1)
    done, rows = [0] * len(copies), dict.fromkeys(sources, 0)
    found: list[tuple[int, int]] = []
    for time, firing in enumerate(zip(order.units, order.numbers, strict=True)):
        found.append(firing)
        unit, number = firing
        if unit in rows:
            rows[unit] = int(units[unit].rows[number])
        for i, (copy, source) in enumerate(zip(copies, sources, strict=True)):
            while time >= last and done[i] < len(ends[i]) and ends[i][done[i]] <= rows[source]:
                found.append((copy, done[i]))
                done[i] += 1
    assert all(count == len(end) for count, end in zip(done, ends, strict=True))
    fired, numbers = zip(*found, strict=True)
    return Order(fired, numbers)


@dataclass(frozen=True)
class RowLife:
    """Rows of a tensor in a segment.

    capacity: rows that are needed at one time, at most. spans: times (first, last) at which any row
    is held, in order. longest: from the time of a row to that of its last use, at most.
    """

    capacity: int
    spans: tuple[tuple[int, int], ...]
    longest: int


def row_lives(units: Sequence[Unit], order: Order) -> dict[str, RowLife]:
    """The lives of all tensors that the units compute."""
    produced: dict[str, list[int]] = {}
    consumed: dict[str, list[tuple[int, int, int]]] = {}
    reads = [
        [(read.tensor, read.first.tolist(), read.end.tolist()) for read in unit.reads]
        for unit in units
    ]
    complete = [unit.rows.tolist() for unit in units]
    for time, (unit, number) in enumerate(zip(order.units, order.numbers, strict=True)):
        for tensor, first, end in reads[unit]:
            consumed.setdefault(tensor, []).append((time, first[number], end[number]))
        times = produced.setdefault(units[unit].output, [])
        times.extend([time] * (complete[unit][number] - len(times)))
    return {
        tensor: _row_life(times, consumed.get(tensor, [])) for tensor, times in produced.items()
    }


def _row_life(times: Sequence[int], reads: Sequence[tuple[int, int, int]]) -> RowLife:
    """``times``: when each row is complete; ``reads``: (time, first row, end row), in time's order."""
    last = list(times)
    for time, begin, end in reads:
        last[begin:end] = [time] * (end - begin)
    capacity = oldest = 0
    for row, time in enumerate(times):
        while oldest < row and last[oldest] < time:
            oldest += 1
        capacity = max(capacity, row - oldest + 1)
    spans: list[tuple[int, int]] = []
    for begin, end in zip(times, last, strict=True):
        if spans and begin <= spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], max(spans[-1][1], end))
        else:
            spans.append((begin, end))
    longest = max((end - begin for begin, end in zip(times, last, strict=True)), default=0)
    return RowLife(max(capacity, 1), tuple(spans), longest)


def oldest_needed(units: Sequence[Unit], order: Order, tensor: str, *, rows: int) -> Array:
    """For each time, the oldest row of a tensor that a firing then or later reads."""
    needed = np.full(len(order.units) + 1, rows, np.int64)
    for time in range(len(order.units) - 1, -1, -1):
        needed[time] = needed[time + 1]
        number = order.numbers[time]
        for read in units[order.units[time]].reads:
            if read.tensor == tensor and read.first[number] < read.end[number]:
                needed[time] = min(needed[time], int(read.first[number]))
    return needed
