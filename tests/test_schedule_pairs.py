# SPDX-License-Identifier: Apache-2.0
"""The slots of a pair's rows: a replay of runtime_c/ek_pair.c over every small window."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from edgekit.converters.lowering.pairs import pair_of
from edgekit.converters.schedule.plan import PlannedPair
from edgekit.kernel import Binding
from edgekit.program import Operand, Pair, RowLoop, Step
from edgekit.window import Axis

BLOCKS = 2
PRIMITIVES = ("F", "R", "E")
Row = tuple[int, int]
"""(block, row) of the map between."""


def a_step(rows: Axis, input_height: int) -> Step:
    loop = RowLoop(rows, input_height, rows.output_size(input_height), 5, 2 * BLOCKS)
    operand = Operand("t", "arena", "t")
    return Step("layer", "op", "", 0, None, Binding(()), (operand,), operand, loop=loop)


def geometry(primitive: str, axis: Axis, height: int) -> tuple[Pair, RowLoop]:
    """The pair of a 1x1 producer and a consumer of this window, over a map of this height."""
    producer, consumer = a_step(Axis(1), height), a_step(axis, height)
    planned = PlannedPair(primitive, "producer", "consumer", 2)  # type: ignore[arg-type]
    assert consumer.loop is not None
    return pair_of(planned, producer, consumer, (0, 1), columns=None), consumer.loop


class Replay:
    """The kept rows and the tile of a pair; ``made`` are the rows that each firing computed."""

    def __init__(self, pair: Pair, loop: RowLoop) -> None:
        assert isinstance(loop.rows, Axis)
        self.pair, self.loop, self.axis = pair, loop, loop.rows
        slots = BLOCKS * pair.kept_rows if pair.kept_block_bytes else pair.kept_rows
        self.kept: list[Row | None] = [None] * slots
        self.made: list[list[int]] = []

    def run(self) -> None:
        for row in range(self.pair.first_rows):
            self.made.append([row])
            for block in range(BLOCKS):
                self.kept[self._slot(block, row)] = (block, row)
        windows = range(self.loop.output_height)
        order = [(y, b) for y in windows for b in range(BLOCKS)]
        if self.pair.whole_map:
            order = [(y, b) for b in range(BLOCKS) for y in windows]
        for y, block in order:
            made = self._run_block(block, y)
            if block == 0:
                self.made.append(made)

    def _slot(self, block: int, row: int) -> int:
        """ek_pair.c: at->kept + row % kept_rows * block_row_bytes"""
        base = block * self.pair.kept_block_bytes // self.pair.block_row_bytes
        assert row >= 0, "a row above the map has no slot"
        return base + row % self.pair.kept_rows

    def _run_block(self, block: int, y: int) -> list[int]:
        """run_block of ek_pair.c, line by line; what the kernel finds is checked."""
        kept, axis = self.pair.kept_rows, self.axis
        before = 0
        if kept:
            before = self.pair.first_rows
            if y > 0:
                before = max((y - 1) * axis.stride - axis.pad_before + axis.kernel, 0)
        first = y * axis.stride - axis.pad_before
        tile: list[Row] = []
        made: list[int] = []
        places: list[tuple[list[Row | None] | list[Row], int] | None] = []
        for tap in range(axis.kernel):
            row = first + tap if first + tap < self.loop.input_height else -1
            if row < 0:
                places.append(None)
            elif row < before:
                places.append((self.kept, self._slot(block, row)))
            elif kept and row - kept < max(first, 0):
                self.kept[self._slot(block, row)] = (block, row)
                places.append((self.kept, self._slot(block, row)))
                made.append(row)
            else:
                tile.append((block, row))
                places.append((tile, len(tile) - 1))
                made.append(row)
        assert len(tile) <= self.pair.tile_rows
        for row, place in zip(axis.inputs_of(y, self.loop.input_height), places, strict=True):
            assert (row is None) == (place is None)
            if place is not None:
                assert place[0][place[1]] == (block, row), "the row is not where it is read"
        for tap, place in enumerate(places):
            row = first + tap if first + tap < self.loop.input_height else -1
            moves = kept and row >= before and row >= first + axis.stride
            if moves and (place is None or place[0] is tile):
                assert place is not None, "a row of padding is kept"
                self.kept[self._slot(block, row)] = (block, row)
        return made


def windows(most_padding: int) -> Iterator[tuple[Axis, int]]:
    """Every window of up to 7 rows and stride 4 over up to 9 rows; padding relative to the kernel."""
    for kernel, stride, height in itertools.product(range(1, 8), range(1, 5), range(1, 10)):
        paddings = range(kernel + most_padding)
        for before, after in itertools.product(paddings, paddings):
            axis = Axis(kernel, stride, 1, before, after)
            if axis.output_size(height) >= 1:
                yield axis, height


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_no_needed_row_is_overwritten(primitive: str) -> None:
    count = 0
    for axis, height in windows(3):
        pair, loop = geometry(primitive, axis, height)
        replay = Replay(pair, loop)
        try:
            replay.run()
        except AssertionError as error:
            raise AssertionError(f"{primitive} {axis} over {height} rows: {error}") from error
        if primitive != "E":
            assert replay.made == pair.new_rows(loop), (axis, height)
        count += 1
    assert count > 5000


@pytest.mark.parametrize(
    ("primitive", "axis", "kept", "tile", "ahead"),
    [
        ("F", Axis(3, 1, 1, 1, 1), 2, 1, 1),
        ("F", Axis(3, 2, 1, 0, 1), 1, 2, 1),
        ("F", Axis(5, 1, 1, 2, 2), 4, 1, 2),
        ("F", Axis(7, 2, 1, 3, 3), 5, 2, 2),
        ("F", Axis(2, 2), 0, 2, 0),
        ("F", Axis(2, 4), 0, 2, 0),
        ("R", Axis(3, 1, 1, 1, 1), 0, 3, 0),
        ("E", Axis(3, 1, 1, 1, 1), 3, 0, 0),
    ],
    ids=str,
)
def test_rows_that_a_pair_keeps(
    primitive: str, axis: Axis, kept: int, tile: int, ahead: int
) -> None:
    pair, _ = geometry(primitive, axis, 9)
    assert (pair.kept_rows, pair.tile_rows, pair.first_rows) == (kept, tile, ahead)


def test_only_recomputation_computes_a_row_twice() -> None:
    for axis, height in windows(0):
        for primitive in ("F", "R"):
            pair, loop = geometry(primitive, axis, height)
            made = [r for rows in pair.new_rows(loop) for r in rows]
            overlapping = axis.kernel > axis.stride and axis.output_size(height) > 1
            if primitive == "F" or not overlapping:
                assert len(made) == len(set(made)), (primitive, axis, height)
