# SPDX-License-Identifier: Apache-2.0
"""The buffers inside a segment: busy now and then; strips and patches take turns with the same ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from edgekit.converters.lowering.overlaps import Placed, overlaps_of
from edgekit.converters.lowering.segment import SegmentBuilder
from edgekit.converters.lowering.tiles import Tile
from edgekit.program import Overlap


def working_buffers(placed: Placed, positions: Sequence[int]) -> dict[str, tuple[int, int]]:
    """Rings and working memory: (bytes, positions of the script at which they hold data)."""
    found = {}
    for tensor, size in placed.rings.items():
        spans = placed.lives[tensor].spans
        busy = _mask((positions[first], positions[last]) for first, last in spans)
        found[tensor] = size, busy
    for name, (size, times) in placed.working.items():
        found[name] = size, _mask((positions[time], positions[time]) for time in times)
    return found


def _mask(spans: Iterable[tuple[int, int]]) -> int:
    mask = 0
    for first, last in spans:
        mask |= ((1 << (last - first + 1)) - 1) << first
    return mask


class SharedBuffers:
    """Buffers of all tiles by name: as large as the largest tile needs, busy in each of them."""

    def __init__(self, tiles: int) -> None:
        self._tiles = tiles
        self.buffers: dict[str, tuple[int, int]] = {}
        """(bytes, positions at which they hold data)"""
        self._overlaps: dict[tuple[str, str], list[int]] = {}

    def begin_tile(self, tile: Tile) -> None:
        self._tile = tile
        self._parts: list[tuple[SegmentBuilder, Placed, Sequence[int]]] = []

    def add(self, segment: SegmentBuilder, placed: Placed, positions: Sequence[int]) -> None:
        """A part of the tile: all of it, or one layer."""
        self._parts.append((segment, placed, positions))
        for name, (size, busy) in working_buffers(placed, positions).items():
            self._merge(name, size, busy)

    def end_tile(self) -> None:
        """Maps that a tile keeps as a whole hold data until their last reader is done."""
        lives = dict(self._lives())
        for segment, placed, positions in self._parts:
            for tensor in placed.whole:
                if tensor in lives:
                    size = segment.storage.map_bytes(tensor)
                    self._merge(tensor, size, _mask([lives[tensor]]))
            if len(self._parts) > 1 and positions:
                dying = [t for t, (_, last) in lives.items() if last == positions[-1]]
                self._add_overlaps(segment, placed, dying)

    def _lives(self) -> Iterator[tuple[str, tuple[int, int]]]:
        for tensor in self._tile.stored:
            used = [
                position
                for _, placed, positions in self._parts
                for position in _uses(placed, positions, tensor)
            ]
            if used:
                yield tensor, (min(used), max(used))

    def _add_overlaps(self, segment: SegmentBuilder, placed: Placed, dying: Sequence[str]) -> None:
        """Those of a layer of a patch that sees all of what is stored of its inputs."""
        step = placed.steps[0]
        seen = {o.buffer for o in step.operands if o.region == self._tile.stored.get(o.buffer)}
        inner = step.output.buffer in self._tile.stored
        for overlap in overlaps_of(segment.storage, placed, dying) if inner else ():
            if overlap.input in seen:
                pair = overlap.output, overlap.input
                self._overlaps.setdefault(pair, []).append(overlap.distance)

    def _merge(self, name: str, size: int, busy: int) -> None:
        before = self.buffers.get(name, (0, 0))
        self.buffers[name] = max(size, before[0]), busy | before[1]

    def overlaps(self) -> Iterator[Overlap]:
        """Those that hold in every tile, at the largest distance that any of them needs."""
        for (output, source), distances in self._overlaps.items():
            if len(distances) == self._tiles:
                yield Overlap(output, source, max(distances))


def _uses(placed: Placed, positions: Sequence[int], tensor: str) -> Iterator[int]:
    """Positions at which a tensor is computed or read."""
    for time, unit in enumerate(placed.order.units):
        reads = any(read.tensor == tensor for read in placed.units[unit].reads)
        if reads or placed.units[unit].output == tensor:
            yield positions[time]
