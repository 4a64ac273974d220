# SPDX-License-Identifier: Apache-2.0
"""The bytes of whole maps at the ends of a segment, where the output overtakes the input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from edgekit.converters.lowering.chase import (
    bottom_up_distance,
    chase_distance,
    in_place_elementwise,
)
from edgekit.converters.schedule.facts import LONGEST_SEGMENT, Facts, TensorFact
from edgekit.converters.schedule.flows import aligned
from edgekit.converters.schedule.order import Read, Unit
from edgekit.ir import Array
from edgekit.ops import operator_of


@dataclass(frozen=True, eq=False)
class Chase:
    """An output and an input that it may overtake; bytes, and the least input offset - output offset.

    distances: by the way in which the segment ends: "C", or the primitive of the pair at its end,
    which reads for the very row that it writes.
    """

    output: str
    input: str
    output_bytes: int
    input_bytes: int
    distances: Mapping[str, int]

    def distance(self, later: int, end: str) -> int:
        """The distance where inputs are free ``later`` bytes later than row by row."""
        distance = self.distances[end]
        if later:
            # What is computed again reads the last rows until the end.
            distance = max(distance, self.output_bytes - self.input_bytes) + later
        return distance


def union_bytes(output_bytes: int, inputs: Iterable[tuple[int, int]]) -> int:
    """Bytes of an output and of inputs (distance, bytes) that it may overtake, placed best.

    Where the output begins at 0 each input may begin at its distance, and apart from the others:
    the one that may begin first is placed first.
    """
    size = aligned(output_bytes)
    above = sorted((aligned(distance), aligned(source)) for distance, source in inputs)
    starts = {0, *(max(distance, -source) for distance, source in above if distance < 0)}
    best = size + sum(source for _, source in above)
    for lowest in starts:
        end = lowest
        for distance, source in above:
            end = max(end, distance) + source
        best = min(best, max(end, size) - lowest)
    return best


@dataclass(frozen=True)
class MapBytes:
    """Whole maps during a segment: all of them side by side, and those that may overlap."""

    total: int
    chases: tuple[Chase, ...]

    def bytes_with(self, later: int, end: str = "C") -> int:
        """Bytes where inputs are free ``later`` bytes later and the segment ends in some way."""
        if not self.chases:
            return self.total
        size = self.chases[0].output_bytes
        apart = aligned(size) + sum(aligned(chase.input_bytes) for chase in self.chases)
        sources = [(chase.distance(later, end), chase.input_bytes) for chase in self.chases]
        return self.total - apart + union_bytes(size, sources)


@dataclass(frozen=True, eq=False)
class _Written:
    """Whenever rows of an output are complete: how many; ``fired``: how often each item has fired."""

    fired: Mapping[int, Array]
    rows: Array


def _returned(facts: Facts) -> frozenset[str]:
    """Tensors from which outputs of the model are copied at its end."""
    if facts.output_mode == "stream":
        return frozenset()
    roots: dict[str, str] = {}
    for node in facts.graph.nodes:
        if operator_of(node).is_view:
            roots[node.outputs[0]] = roots.get(node.inputs[0], node.inputs[0])
    ports = (port.tensor for port in facts.graph.outputs)
    names = (roots.get(name, name) for name in ports)
    return frozenset(n for n in names if n in facts.tensors and facts.tensors[n].in_arena)


class Chases:
    """Answers for all segments [i, j) of the items."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._returned = _returned(facts)
        self._totals = self._totals_of_all()
        self._ending = [
            [t for t in facts.tensors.values() if t.in_arena and self._ends_from(i, t)]
            for i in range(len(facts.items))
        ]
        self._written: dict[int, _Written] = {}
        self._chases: dict[tuple[int, int], tuple[Chase, ...]] = {}
        self._still_read: dict[tuple[int, str], Array] = {}
        self.early_rows: dict[str, int] = {}
        """Rows of outputs that are written before all pushed rows are there, where layers flow."""
        for j in range(2, len(facts.items) + 1):
            self._walk_back(j)

    def _totals_of_all(self) -> Array:
        """By (i, j): bytes of the tensors that are in the arena as whole maps while i to j - 1 run."""
        count = len(self._facts.items)
        totals = np.zeros((count + 1, count + 1), np.int64)
        for tensor in self._facts.tensors.values():
            begin, last = tensor.producer + 1, self._last(tensor)
            if tensor.in_arena:
                totals[begin : last + 1] += aligned(tensor.bytes)  # it is there before i
                end = count if tensor.must_be_whole else last
                totals[:begin, begin : end + 1] += aligned(tensor.bytes)
            if tensor.held_rows:
                # An output waits for the end of the input, which flows from the first item on.
                totals[0, begin:] += aligned(tensor.held_rows * tensor.row_bytes)
        return totals

    def _total(self, i: int, j: int) -> int:
        return int(self._totals[i, j])

    def map_bytes(self, i: int, j: int) -> MapBytes:
        """Whole maps of a segment whose rows flow."""
        return MapBytes(self._total(i, j), self.chases(i, j))

    def chases(self, i: int, j: int) -> tuple[Chase, ...]:
        """The inputs that the output of item j - 1 may overtake in the segment [i, j)."""
        if (i, j) not in self._chases:
            self._chases[i, j] = tuple(self._chases_of(i, j))
        return self._chases[i, j]

    def writes_early(self, j: int) -> bool:
        """Whether items 0 to j - 1 together write an output before all pushed rows are there."""
        return any(self._facts.tensors[name].producer < j for name in self.early_rows)

    def apart_bytes(self, i: int, j: int) -> int:
        """Whole maps of a segment in which nothing overlaps."""
        return self._total(i, j)

    def waiting_bytes(self, i: int) -> int:
        """The maps that are there before item i, for it or those behind it."""
        return self._total(i, i)

    def layer_bytes(self, i: int) -> int:
        """Whole maps while one layer computes its output at once."""
        item = self._facts.items[i]
        total, step = self._total(i, i + 1), item.whole_step
        output = self._facts.tensors[item.unit.output]
        operands = [operand for operand in step.operands if operand.place == "arena"]
        dying = [t for t in dict.fromkeys(o.buffer for o in operands) if self._dies_in(t, i, i + 1)]
        if step.kernel is None or not output.in_arena or (i, i + 1) in self._facts.apart:
            return total
        chased = []
        for name in dying:
            distances = [chase_distance(step, o) for o in operands if o.buffer == name]
            known = [distance for distance in distances if distance is not None]
            if len(known) == len(distances):
                chased.append((max(known), self._facts.tensors[name].bytes))
        if not chased:
            return total
        union = union_bytes(output.bytes, chased)
        if len(chased) == 1 and len(operands) == 1:
            upward = bottom_up_distance(step, operands[0])
            if upward is not None:
                union = min(union, union_bytes(chased[0][1], [(upward, output.bytes)]))
        return total - aligned(output.bytes) - sum(aligned(size) for _, size in chased) + union

    def _dies_in(self, name: str, i: int, j: int) -> bool:
        tensor = self._facts.tensors[name]
        return self._ends_from(i, tensor) and self._last(tensor) < j

    def _ends_from(self, i: int, tensor: TensorFact) -> bool:
        """Whether a tensor that is there before item i is read by it or by those behind it."""
        return bool(tensor.readers) and tensor.producer < i <= self._last(tensor)

    def _last(self, tensor: TensorFact) -> int:
        """The last item that needs a map; those that are returned from the arena outlive all."""
        if tensor.name in self._returned:
            return len(self._facts.items)
        return tensor.readers[-1] if tensor.readers else tensor.producer

    def _walk_back(self, j: int) -> None:
        """Distances of the output of item j - 1 for every beginning i of the segment."""
        items, tensors = self._facts.items, self._facts.tensors
        last = items[j - 1]
        output = tensors[last.unit.output]
        streamed = (self._facts.input_mode, self._facts.output_mode) == ("stream", "resident")
        if not output.in_arena and not streamed:
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
        if output.in_arena:
            self._written[j] = _Written(fired, rows[finished])
        waits = output.in_arena or output.held_rows > 0
        if not waits and 0 in fired and fired[0][0] < fired[0][-1]:
            self.early_rows[output.name] = int((fired[0] < fired[0][-1]).sum())

    def _must_complete(self, i: int, j: int) -> bool:
        tensor = self._facts.tensors[self._facts.items[i].unit.output]
        return tensor.must_be_whole or not tensor.readers or tensor.readers[-1] >= j

    def _chases_of(self, i: int, j: int) -> Iterator[Chase]:
        written = self._written.get(j)
        if written is None or i >= j - 1 or i not in written.fired or (i, j) in self._facts.apart:
            return
        output = self._facts.tensors[self._facts.items[j - 1].unit.output]
        for tensor in self._ending[i]:
            if self._last(tensor) < j:
                distances = {"C": self._distance(range(i, j), written, tensor, output)}
                for option in self._facts.pairs.get(j - 2, ()) if j - 2 >= i else ():
                    way = option.planned.primitive
                    if way not in distances and way != "E":
                        distances[way] = self._distance(
                            range(i, j - 2), written, tensor, output, option.unit
                        )
                yield Chase(output.name, tensor.name, output.bytes, tensor.bytes, distances)

    def _distance(
        self,
        items: range,
        written: _Written,
        source: TensorFact,
        output: TensorFact,
        pair: Unit | None = None,
    ) -> int:
        """Least source offset - output offset at which no row is overwritten too early.

        ``pair``: the last unit, where that is one; ``items``: all others.
        """
        rows = written.rows
        oldest = np.full(len(rows), source.height, np.int64)
        distance = -source.bytes
        for k in (reader for reader in source.readers if reader in items):
            item = self._facts.items[k]
            for read in _reads_of(item.unit, source):
                ahead = written.fired[k]
                if item.unit.output == output.name:
                    own = [o for o in item.step.operands if o.buffer == source.name]
                    if own and all(in_place_elementwise(item.step, operand) for operand in own):
                        first = _firsts(read, source)[ahead - 1]
                        begins = np.concatenate([[0], rows[:-1]])
                        at = begins * output.row_bytes - first * source.row_bytes
                        distance = max(distance, int(at.max()))
                    else:
                        ahead = ahead - 1
                oldest = np.minimum(oldest, self._still_read_by(k, read, source)[ahead])
        if pair is not None:
            finishing = np.flatnonzero(np.diff(pair.rows, prepend=0) > 0)
            for read in _reads_of(pair, source):
                oldest = np.minimum(oldest, _still_read(read, source)[finishing])
        needed = oldest < source.height
        if needed.any():
            reach = rows * output.row_bytes - oldest * source.row_bytes
            distance = max(distance, int(reach[needed].max()))
        return distance

    def _still_read_by(self, k: int, read: Read, source: TensorFact) -> Array:
        """What item k has still to read of a tensor behind each of its firings."""
        if (k, source.name) not in self._still_read:
            self._still_read[k, source.name] = _still_read(read, source)
        return self._still_read[k, source.name]


def _reads_of(unit: Unit, tensor: TensorFact) -> Iterator[Read]:
    return (read for read in unit.reads if read.tensor == tensor.name)


def _firsts(read: Read, tensor: TensorFact) -> Array:
    """The first row that each firing reads; the height where it reads none."""
    found: Array = np.where(read.first < read.end, read.first, tensor.height)
    return found


def _still_read(read: Read, tensor: TensorFact) -> Array:
    """The oldest row that each firing, and the time behind the last one, or a later one reads."""
    first = _firsts(read, tensor)
    return np.append(np.minimum.accumulate(first[::-1])[::-1], tensor.height)
