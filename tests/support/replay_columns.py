# SPDX-License-Identifier: Apache-2.0
"""Replay of the pairs that share rows a block of columns at a time: runtime_c/ek_column_pair.c."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edgekit.column_blocks import Block, ColumnBlocks
from edgekit.ir import Array
from edgekit.program import Image, Pair, Step
from support.tagged_memory import Memory, Part, ReplayError


class Steps(Protocol):
    """What computes rows of steps and finds their bytes."""

    image: Image
    arena: Memory

    def row_values(self, step: Step, row: int) -> Array:
        """A row of a step, from where its input rows lie."""

    def row_values_of(self, step: Step, row: int, maps: Mapping[str, Array]) -> Array:
        """A row of a step from whole maps."""

    def row_parts(self, step: Step, row: int) -> list[Part]:
        """Where the input rows of a row lie."""

    def write_row(self, step: Step, row: int, values: Array) -> None:
        """Write a row of an output."""

    def noise_map(self, tensor: str) -> Array:
        """Noise in place of what must not be read."""


@dataclass(frozen=True, eq=False)
class ColumnPairReplay:
    """Rows of a pair; every byte of the map between is written and read where the C code does."""

    steps: Steps
    pair: Pair
    columns: ColumnBlocks

    @property
    def _producer(self) -> Step:
        return self.steps.image.program.steps[self.pair.producer]

    @property
    def _consumer(self) -> Step:
        return self.steps.image.program.steps[self.pair.consumer]

    def fire_ahead(self, row: int) -> None:
        """ek_run_column_pair_ahead"""
        self._write(self._slot(row, 0, self.columns.input_width), row)

    def fire(self, y: int) -> None:
        """ek_run_column_pair_row"""
        loop = self._consumer.loop
        assert loop is not None
        window, before = loop.rows_of(y), self._rows_before(y)
        new = [row for row in window if row >= before]
        if len(new) > self.pair.tile_rows:
            raise ReplayError(f"{self._consumer.layer}: {len(new)} rows in the tile")
        read, blocks, made = [], [], 0
        for block in self.columns.blocks():
            for number, row in enumerate(new):
                self._write(self._in_tile(number, row, block, made, block.made), row)
                read += self.steps.row_parts(self._producer, row)
            made = block.made
            blocks.append(self._consumed(y, block, window, new))
            for number, row in enumerate(new):
                self._advance(number, row, block, y)
        self.steps.write_row(self._consumer, y, np.concatenate(blocks, axis=1))
        for source in read:
            source.memory.check(source, self._consumer.layer)

    def _rows_before(self, y: int) -> int:
        axis = self._consumer.loop.rows  # type: ignore[union-attr]
        if self.pair.kept_rows == 0:
            return 0
        if y == 0:
            return self.pair.first_rows
        return max((y - 1) * axis.stride - axis.pad_before + axis.kernel, 0)  # type: ignore[union-attr]

    def _part(self, address: int, row: int, begin: int, end: int) -> Part:
        size = self.columns.pixel_bytes
        begin_byte = row * self.columns.row_bytes + begin * size
        key = f"between {self._producer.layer}"
        return Part(self.steps.arena, address, key, begin_byte, (end - begin) * size)

    def _slot(self, row: int, begin: int, end: int) -> Part:
        place = self.steps.image.offsets[self.pair.kept]
        place += row % self.pair.kept_rows * self.columns.row_bytes
        return self._part(place + begin * self.columns.pixel_bytes, row, begin, end)

    def _in_tile(self, number: int, row: int, block: Block, begin: int, end: int) -> Part:
        place = self.steps.image.offsets[self.pair.tile] + number * self.pair.tile_row_bytes
        ahead = (begin - block.first) * self.columns.pixel_bytes
        assert 0 <= ahead <= ahead + (end - begin) * self.columns.pixel_bytes
        assert (end - block.first) * self.columns.pixel_bytes <= self.pair.tile_row_bytes
        return self._part(place + ahead, row, begin, end)

    def _write(self, part: Part, row: int) -> None:
        """Compute the columns of a row that a part holds."""
        size = self.columns.pixel_bytes
        begin = part.begin % self.columns.row_bytes // size
        values = self.steps.row_values(self._producer, row)[:, begin : begin + part.size // size]
        part.memory.write(part, np.ascontiguousarray(values))

    def _consumed(self, y: int, block: Block, window: list[int], new: list[int]) -> Array:
        axis, width = self.columns.axis, self.columns.input_width
        begin = min(max(axis.first_input(block.begin), 0), width)
        end = min(max(axis.first_input(block.end - 1) + axis.extent, begin), width)
        tensor = self._consumer.operands[0].tensor
        noise = self.steps.noise_map(tensor)
        for row in window:
            if row in new:
                part = self._in_tile(new.index(row), row, block, begin, end)
            else:
                part = self._slot(row, begin, end)
            data = part.memory.read(part, self._consumer.layer).view(noise.dtype)
            noise[row, begin:end] = data.reshape(end - begin, noise.shape[2])
        values = self.steps.row_values_of(self._consumer, y, {tensor: noise})
        return values[:, block.begin : block.end]

    def _advance(self, number: int, row: int, block: Block, y: int) -> None:
        axis = self._consumer.loop.rows  # type: ignore[union-attr]
        passed = self._in_tile(number, row, block, block.first, block.passed)
        rest = self._in_tile(number, row, block, block.passed, block.made)
        kept = passed.memory.read(passed, "tile")
        left = rest.memory.read(rest, "tile")
        if self.pair.kept_rows and row >= axis.first_input(y + 1):  # type: ignore[union-attr]
            slot = self._slot(row, block.first, block.passed)
            slot.memory.write(slot, kept)
        front = Part(rest.memory, passed.address, rest.key, rest.begin, rest.size)
        front.memory.write(front, left)
