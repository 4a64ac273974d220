# SPDX-License-Identifier: Apache-2.0
"""A row of windows computed a block of columns at a time: the input columns that each block needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgekit.window import Axis


@dataclass(frozen=True)
class Block:
    """Output columns [begin, end): input columns [first, made) lie in the tile meanwhile.

    Those below ``passed`` are not needed by the next block.
    """

    begin: int
    end: int
    first: int
    made: int
    passed: int


@dataclass(frozen=True)
class ColumnBlocks:
    """``columns`` output columns at a time, of windows over rows of ``input_width`` pixels."""

    columns: int
    axis: Axis
    input_width: int
    output_width: int
    pixel_bytes: int

    def blocks(self) -> Iterator[Block]:
        """What runtime_c/ek_column_pair.c does for a row."""
        first = made = 0
        for begin in range(0, self.output_width, self.columns):
            end = min(begin + self.columns, self.output_width)
            following = self.axis.first_input(end)
            needed = following - self.axis.stride + self.axis.extent
            made = max(min(needed, self.input_width), made)
            last = end == self.output_width
            passed = made if last else min(max(following, first), made)
            yield Block(begin, end, first, made, passed)
            first = passed

    @property
    def tile_row_bytes(self) -> int:
        """A row of the tile."""
        return max(block.made - block.first for block in self.blocks()) * self.pixel_bytes

    @property
    def row_bytes(self) -> int:
        return self.input_width * self.pixel_bytes
