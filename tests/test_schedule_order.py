# SPDX-License-Identifier: Apache-2.0
"""The order of rows, and how many of them are kept, against plain replays of the definitions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgekit.converters.schedule.order import (
    Order,
    Read,
    RowLife,
    Unit,
    demand_order,
    oldest_needed,
    row_lives,
)
from edgekit.window import Axis, RowMap, RowTable

POINT = Axis(1)
SAME_3 = Axis(3, 1, 1, 1, 1)
HALF_3 = Axis(3, 2, 1, 0, 1)


class Rows:
    """Units row by row; every method returns the name of the tensor that its unit computes."""

    def __init__(self, height: int) -> None:
        self.units: list[Unit] = []
        self.heights = {"x": height}
        self._add("x", height, ())

    def layer(self, name: str, rows: RowMap, *sources: str) -> str:
        """A layer that reads the same rows of all sources."""
        return self.mixed(name, *((source, rows) for source in sources))

    def mixed(self, name: str, *sources: tuple[str, RowMap]) -> str:
        """A layer that reads each source through a window of its own."""
        sizes = {_output_size(rows, self.heights[source]) for source, rows in sources}
        (height,) = sizes
        reads = []
        for source, rows in sources:
            spans = [
                [r for r in rows.inputs_of(y, self.heights[source]) if r is not None]
                for y in range(height)
            ]
            first = np.array([min(span, default=0) for span in spans])
            end = np.array([max(span, default=-1) + 1 for span in spans])
            reads.append(Read(source, first, end))
        self._add(name, height, tuple(reads))
        return name

    def _add(self, name: str, height: int, reads: tuple[Read, ...]) -> None:
        firings = tuple((len(self.units), y) for y in range(height))
        self.units.append(Unit(firings, reads, name, np.arange(1, height + 1)))
        self.heights[name] = height

    def lives(self, *wanted: str) -> dict[str, RowLife]:
        return row_lives(self.units, demand_order(self.units, wanted))

    def capacities(self, *wanted: str) -> dict[str, int]:
        return {name: life.capacity for name, life in self.lives(*wanted).items()}


def _output_size(rows: RowMap, height: int) -> int:
    return rows.output_size(height) if isinstance(rows, Axis) else len(rows.rows)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (POINT, 1),
        (SAME_3, 3),
        (HALF_3, 3),
        (Axis(5, 1, 1, 2, 2), 5),
        (Axis(7, 2, 1, 3, 3), 7),
        (Axis(3, 1, 2, 2, 2), 5),  # dilated: the rows between the taps are needed later
        (Axis(2, 4), 2),  # stride > kernel: rows that nobody reads overwrite one another
        (Axis(3, 1, 1, 2, 0), 3),
        (Axis(15, 1, 1, 7, 7), 12),  # taller than the map: all of it
        (Axis(4, 1, 1, 3, 3, upsampling=2), 2),  # transposed: every second position is a row
        (RowTable(tuple((i // 2,) for i in range(24))), 1),  # nearest neighbour, twice as high
        (RowTable(tuple((i, min(i + 1, 11)) for i in range(12))), 2),
        (RowTable(((11,), (0,), (5,))), 12),  # a row that was passed is wanted again
    ],
    ids=str,
)
def test_ring_spans_a_window(rows: RowMap, expected: int) -> None:
    b = Rows(12)
    assert b.capacities(b.layer("y", rows, "x")) == {"x": expected, "y": 1}


def test_rings_of_a_chain_do_not_depend_on_each_other() -> None:
    b = Rows(32)
    y = b.layer("a", HALF_3, "x")
    y = b.layer("b", Axis(5, 1, 1, 2, 2), y)
    y = b.layer("c", POINT, y)
    y = b.layer("d", Axis(7, 2, 1, 3, 3), y)
    assert b.capacities(y) == {"x": 3, "a": 5, "b": 1, "c": 7, "d": 1}


@pytest.mark.parametrize("count", range(1, 6))
def test_residual_waits_for_the_longer_path(count: int) -> None:
    """Each 3x3 convolution is one row behind what it reads."""
    b = Rows(16)
    y = "x"
    for number in range(count):
        y = b.layer(f"conv_{number}", SAME_3, y)
    rings = b.capacities(b.layer("sum", POINT, "x", y))
    assert rings["x"] == max(3, count + 1)
    assert all(rings[f"conv_{number}"] == 3 for number in range(count - 1))


def test_shortcut_fires_when_the_sum_needs_it() -> None:
    """A strided 1x1 beside two convolutions: read first, it frees its row before the others need one."""
    for shortcut_first, expected in ((True, 3), (False, 5)):
        b = Rows(16)
        long = b.layer("b", SAME_3, b.layer("a", HALF_3, "x"))
        short = b.layer("short", Axis(1, 2), "x")
        operands = (short, long) if shortcut_first else (long, short)
        rings = b.capacities(b.layer("sum", POINT, *operands))
        assert (rings["x"], rings["short"]) == (expected, 1)


def test_rows_of_a_skip_connection_wait_below_the_upsampling() -> None:
    """One level of a U-Net: pool, 3x3, upsample, beside the map itself."""
    b = Rows(16)
    low = b.layer("low", SAME_3, b.layer("pool", Axis(2, 2), "x"))
    up = b.layer("up", RowTable(tuple((i // 2,) for i in range(16))), low)
    rings = b.capacities(b.layer("joined", POINT, "x", up))
    assert rings == {"x": 4, "pool": 3, "low": 1, "up": 1, "joined": 1}


def test_outputs_advance_together() -> None:
    b = Rows(12)
    first, second = b.layer("first", SAME_3, "x"), b.layer("second", Axis(3, 3), "x")
    order = demand_order(b.units, [first, second])
    done = np.cumsum([[unit == 1, unit == 2] for unit in order.units], axis=0)
    assert (np.abs(done[:, 0] / 12 - done[:, 1] / 4) <= 0.25).all()


@st.composite
def random_units(draw: st.DrawFn) -> tuple[list[Unit], list[str]]:
    """Layers with up to two sources, and the tensors that nobody reads."""
    b = Rows(draw(st.integers(1, 12)))
    names = ["x"]
    for number in range(draw(st.integers(1, 5))):
        source = draw(st.sampled_from(names))
        axis = Axis(
            draw(st.integers(1, 5)),
            draw(st.integers(1, 4)),
            draw(st.integers(1, 2)),
            draw(st.integers(0, 3)),
            draw(st.integers(0, 3)),
            draw(st.sampled_from([1, 1, 2])),
        )
        height = b.heights[source]
        assume(1 <= axis.output_size(height) <= 24)
        others = [n for n in names if b.heights[n] == axis.output_size(height) and n != source]
        both = [(source, axis), *((other, POINT) for other in others[:1])]
        names.append(b.mixed(f"y{number}", *both[:: draw(st.sampled_from([1, -1]))]))
    read = {r.tensor for unit in b.units for r in unit.reads}
    wanted = [name for name in names if name not in read]
    return b.units, wanted


def replay_rings(units: Sequence[Unit], order: Order, sizes: dict[str, int]) -> bool:
    """Whether every row that a firing reads is still in its slot."""
    slots = {name: [-1] * size for name, size in sizes.items()}
    done = dict.fromkeys(slots, 0)
    for unit, number in zip((units[u] for u in order.units), order.numbers, strict=True):
        for read in unit.reads:
            held = slots[read.tensor]
            for row in range(int(read.first[number]), int(read.end[number])):
                if held[row % len(held)] != row:
                    return False
        for row in range(done[unit.output], int(unit.rows[number])):
            slots[unit.output][row % sizes[unit.output]] = row
        done[unit.output] = int(unit.rows[number])
    return True


@settings(max_examples=300)
@given(case=random_units())
def test_rings_hold_what_is_read_and_none_could_be_smaller(
    case: tuple[list[Unit], list[str]],
) -> None:
    units, wanted = case
    order = demand_order(units, wanted)
    fired = [
        [n for u, n in zip(order.units, order.numbers, strict=True) if u == index]
        for index in range(len(units))
    ]
    assert all(numbers == list(range(len(numbers))) for numbers in fired)
    names = {unit.output: index for index, unit in enumerate(units)}
    assert all(len(fired[names[t]]) == len(units[names[t]].firings) for t in wanted)
    lives = row_lives(units, order)
    sizes = {unit.output: lives[unit.output].capacity for unit in units if unit.output in lives}
    sizes |= {unit.output: 1 for unit in units if unit.output not in sizes}
    assert replay_rings(units, order, sizes)
    for name, size in sizes.items():
        if size > 1:
            assert not replay_rings(units, order, sizes | {name: size - 1}), name


@settings(max_examples=300)
@given(case=random_units())
def test_spans_are_the_times_at_which_a_row_is_held(case: tuple[list[Unit], list[str]]) -> None:
    units, wanted = case
    order = demand_order(units, wanted)
    for name, life in row_lives(units, order).items():
        (unit,) = (u for u in range(len(units)) if units[u].output == name)
        born = [t for t, fired in enumerate(order.units) if fired == unit]
        held = set(born)
        needed = oldest_needed(units, order, name, rows=len(born))
        for time, fired in enumerate(order.units):
            for read in units[fired].reads:
                n = order.numbers[time]
                if read.tensor == name and read.first[n] < read.end[n]:
                    for row in range(int(read.first[n]), int(read.end[n])):
                        held |= set(range(born[row], time + 1))
                    assert needed[time] <= read.first[n]
        spans = {t for first, last in life.spans for t in range(first, last + 1)}
        assert spans == held
