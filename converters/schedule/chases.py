# SPDX-License-Identifier: Apache-2.0
"""The bytes of whole maps at the ends of a segment, where the output overtakes the input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgekit.converters.chase import bottom_up_distance, chase_distance, in_place_elementwise
from edgekit.converters.schedule.facts import LONGEST_SEGMENT, Facts, TensorFact
from edgekit.ir import Array
from edgekit.program import BUFFER_ALIGN


def _align(size: int) -> int:
    return -(-size // BUFFER_ALIGN) * BUFFER_ALIGN


@dataclass(frozen=True)
class MapBytes:
    """Whole maps during a segment.

    total: all of them, side by side. savings: (bytes of output, bytes of input, distance) of those
    that may overlap.
    """

    total: int
    savings: tuple[tuple[str, int, int, int], ...]

    def bytes_with(self, later: int) -> int:
        """Bytes when inputs are free ``later`` bytes later than row by row."""
        saved: dict[str, int] = {}
        sizes: dict[str, int] = {}
        for output, size, source_size, distance in self.savings:
            gap = max(_align(distance + later), 0)
            union = max(size, gap + source_size)
            saved[output] = saved.get(output, 0) + max(size + source_size - union, 0)
            sizes[output] = size
        return self.total - sum(min(value, sizes[name]) for name, value in saved.items())


class Chases:
    """Answers for all segments [i, j) of the items."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._distances: dict[tuple[int, int], dict[tuple[str, str], int]] = {}
        for j in range(2, len(facts.items) + 1):
            self._walk_back(j)

    def _whole(self, i: int, j: int) -> Iterator[TensorFact]:
        """The tensors that lie in the arena as whole maps while items i to j - 1 run."""
        for tensor in self._facts.tensors.values():
            if not tensor.in_arena:
                continue
            last = tensor.readers[-1] if tensor.readers else tensor.producer
            begins_before = tensor.producer < i
            if (begins_before and last >= i) or (
                i <= tensor.producer < j and (last >= j or tensor.must_be_whole)
            ):
                yield tensor

    def _total(self, i: int, j: int) -> int:
        return sum(_align(tensor.bytes) for tensor in self._whole(i, j))

    def map_bytes(self, i: int, j: int) -> MapBytes:
        """Whole maps of a segment whose rows flow."""
        tensors = self._facts.tensors
        savings = tuple(
            (output, _align(tensors[output].bytes), _align(tensors[source].bytes), distance)
            for (output, source), distance in self._distances.get((i, j), {}).items()
        )
        return MapBytes(self._total(i, j), savings)

    def apart_bytes(self, i: int, j: int) -> int:
        """Whole maps of a segment in which nothing overlaps."""
        return self._total(i, j)

    def layer_bytes(self, i: int) -> int:
        """Whole maps while one layer computes its output at once."""
        item = self._facts.items[i]
        total, step = self._total(i, i + 1), item.whole_step
        output = self._facts.tensors[item.unit.output]
        operands = [operand for operand in step.operands if operand.place == "arena"]
        dying = [t for t in dict.fromkeys(o.buffer for o in operands) if self._dies_in(t, i, i + 1)]
        if step.kernel is None or not output.in_arena:
            return total
        savings = []
        for name in dying:
            distances = [chase_distance(step, o) for o in operands if o.buffer == name]
            known = [distance for distance in distances if distance is not None]
            if len(known) == len(distances):
                savings.append((name, max(known)))
        saved = 0
        for name, distance in savings:
            size, source = _align(output.bytes), _align(self._facts.tensors[name].bytes)
            union = max(size, max(_align(distance), 0) + source)
            if len(savings) == 1 and len(operands) == 1:
                upward = bottom_up_distance(step, operands[0])
                if upward is not None:
                    union = min(union, max(source, max(_align(upward), 0) + size))
            saved += max(size + source - union, 0)
        return total - min(saved, _align(output.bytes))

    def _dies_in(self, name: str, i: int, j: int) -> bool:
        tensor = self._facts.tensors[name]
        return bool(tensor.readers) and tensor.producer < i and i <= tensor.readers[-1] < j

    def _walk_back(self, j: int) -> None:
        """Distances of the output of item j - 1 for every beginning i of the segment."""
        items, tensors = self._facts.items, self._facts.tensors
        last = items[j - 1]
        output = tensors[last.unit.output]
        if not output.in_arena:
            return
        rows = np.asarray(last.unit.rows)
        finished = np.flatnonzero(np.diff(rows, prepend=0) > 0)
        fired: dict[int, Array] = {j - 1: finished + 1}
        demand: dict[str, Array] = {}
        for i in range(j - 1, max(-1, j - 2 - LONGEST_SEGMENT), -1):
            if i not in fired:
                wanted = demand.get(items[i].unit.output)
                if wanted is None:
                    wanted = np.zeros(len(finished), np.int64)
                if self._must_complete(i, j):
                    share = (np.arange(len(finished)) + 1) / len(finished)
                    height = tensors[items[i].unit.output].height
                    wanted = np.maximum(wanted, np.ceil(share * height).astype(np.int64))
                fired[i] = np.searchsorted(items[i].unit.rows, wanted, side="left") + 1
                fired[i] = np.where(wanted > 0, np.minimum(fired[i], len(items[i].unit.rows)), 0)
            for read in items[i].unit.reads:
                ends = np.concatenate([[0], np.maximum.accumulate(read.end)])
                needed = ends[fired[i]]
                demand[read.tensor] = np.maximum(demand.get(read.tensor, needed), needed)
            if i < j - 1:
                self._distances[i, j] = self._distances_of(i, j, fired, rows[finished])

    def _must_complete(self, i: int, j: int) -> bool:
        tensor = self._facts.tensors[self._facts.items[i].unit.output]
        return tensor.must_be_whole or not tensor.readers or tensor.readers[-1] >= j

    def _distances_of(
        self, i: int, j: int, fired: dict[int, Array], rows: Array
    ) -> dict[tuple[str, str], int]:
        tensors, last = self._facts.tensors, self._facts.items[j - 1]
        output = tensors[last.unit.output]
        found = {}
        for name in {r.tensor for k in range(i, j) for r in self._facts.items[k].unit.reads}:
            tensor = tensors[name]
            if tensor.in_arena and self._dies_in(name, i, j):
                found[output.name, name] = self._distance(i, j, fired, rows, tensor, output)
        return found

    def _distance(
        self,
        i: int,
        j: int,
        fired: dict[int, Array],
        rows: Array,
        source: TensorFact,
        output: TensorFact,
    ) -> int:
        """Least source offset - output offset at which no row is overwritten too early."""
        oldest = np.full(len(rows), source.height, np.int64)
        distance = -source.bytes
        begins = np.concatenate([[0], rows[:-1]])
        for k in range(i, j):
            for read in self._facts.items[k].unit.reads:
                if read.tensor != source.name:
                    continue
                first = np.where(read.first < read.end, read.first, source.height)
                still = np.append(np.minimum.accumulate(first[::-1])[::-1], source.height)
                ahead = fired[k]
                if k == j - 1:
                    step = self._facts.items[k].step
                    own = [o for o in step.operands if o.buffer == source.name]
                    if own and all(in_place_elementwise(step, operand) for operand in own):
                        at = begins * output.row_bytes - first[ahead - 1] * source.row_bytes
                        distance = max(distance, int(at.max()))
                    else:
                        ahead = ahead - 1
                oldest = np.minimum(oldest, still[ahead])
        needed = oldest < source.height
        if needed.any():
            reach = rows * output.row_bytes - oldest * source.row_bytes
            distance = max(distance, int(reach[needed].max()))
        return distance
