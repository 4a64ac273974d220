# SPDX-License-Identifier: Apache-2.0
"""Blocks of columns over every small window: what the tile holds and when a column is passed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from edgekit.column_blocks import ColumnBlocks
from edgekit.window import Axis


def every_row() -> Iterator[ColumnBlocks]:
    sizes = itertools.product(range(1, 6), range(1, 4), range(1, 3), range(1, 10))
    for kernel, stride, dilation, width in sizes:
        for before, after in itertools.product(range(kernel + 1), range(kernel + 1)):
            axis = Axis(kernel, stride, dilation, before, after)
            outputs = axis.output_size(width)
            for columns in range(1, min(outputs, 4) + 1):
                yield ColumnBlocks(columns, axis, width, outputs, pixel_bytes=3)


def needed(row: ColumnBlocks, begin: int, end: int) -> set[int]:
    """The input columns of output columns [begin, end)."""
    windows = (row.axis.inputs_of(x, row.input_width) for x in range(begin, end))
    return {column for window in windows for column in window if column is not None}


def test_the_tile_holds_what_a_block_needs_and_columns_pass_when_nothing_does() -> None:
    count = 0
    for row in every_row():
        first = made = end = 0
        for block in row.blocks():
            assert block.begin == end and block.first == first <= block.passed <= block.made
            assert block.made >= made, "columns are computed from left to right"
            assert needed(row, block.begin, block.end) <= set(range(block.first, block.made))
            later = needed(row, block.end, row.output_width)
            assert not later or min(later) >= block.passed
            assert (block.made - block.first) * row.pixel_bytes <= row.tile_row_bytes
            first, made, end = block.passed, block.made, block.end
            count += 1
        assert end == row.output_width and first == made
    assert count > 5000


def test_a_tile_of_a_3x3_window() -> None:
    row = ColumnBlocks(4, Axis(3, 1, 1, 1, 1), input_width=16, output_width=16, pixel_bytes=8)
    assert row.tile_row_bytes == 6 * 8
    assert [(b.first, b.made, b.passed) for b in row.blocks()] == [
        (0, 5, 3),
        (3, 9, 7),
        (7, 13, 11),
        (11, 16, 16),
    ]
