# SPDX-License-Identifier: Apache-2.0
"""Exact placement of buffers in the arena, with the lower bound that it is measured against.

Dynamic storage allocation with chase offsets: buffers whose lives intersect must not share bytes,
except that a step's output may lie over an input that dies there, at a distance that the kernel
proves (:class:`edgekit.program.Overlap`). Greedy orders come first; then squeaky wheel optimisation
(Joslin and Clements, 1999: what stands at the peak is placed earlier next time); last a branch and
bound over the placements in order of offset, each at the lowest feasible one, which contains an
optimum. All stop at the bound by live sets, or after a fixed number of rounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

import numpy as np

from edgekit.program import BUFFER_ALIGN, Buffer, Image, Overlap, Program

WHEEL_ROUNDS = 400
NODE_LIMIT = 20_000
WHEEL_PAIRS = 2_000_000
NODE_PAIRS = 2_000_000
"""Comparisons of buffers in each search: with hundreds of them alive at once it stops early."""
DEPTH_LIMIT = 500
"""Buffers of a branch and bound, which recurses once for each."""
# Limits are counts, not times, so that results are reproducible.


def _align(offset: int) -> int:
    return -(-offset // BUFFER_ALIGN) * BUFFER_ALIGN


class _Conflict(NamedTuple):
    """How far from a buffer another one must start that lives at the same time, in whole words."""

    other: int
    above: int
    """Least offset of the buffer itself above that of the other one."""
    below: int
    """Least offset of the other one above that of the buffer itself."""


@dataclass(frozen=True)
class _Problem:
    buffers: tuple[Buffer, ...]
    conflicts: tuple[tuple[_Conflict, ...], ...]
    bound: int

    def affordable(self, rounds: int, *, comparisons: int) -> int:
        """How many rounds over all buffers are within ``comparisons``, at most ``rounds``."""
        pairs = sum(len(others) for others in self.conflicts)
        return min(rounds, comparisons // max(pairs, 1))


def allocate(program: Program) -> Image:
    """Place the buffers of a program; pure and deterministic."""
    problem = _problem(program.buffers, program.overlaps)
    offsets, peak = _best_greedy(problem)
    if peak > problem.bound:
        offsets, peak = _squeaky_wheel(problem, offsets, peak)
    if peak > problem.bound and len(problem.buffers) <= DEPTH_LIMIT:
        offsets, peak = _branch_and_bound(problem, offsets, peak)
    named = {buffer.name: offsets[i] for i, buffer in enumerate(problem.buffers)}
    bottom_up = frozenset(_bottom_up_steps(program, named))
    return Image(program, named, peak, problem.bound, bottom_up).verify()


def lower_bound(program: Program) -> int:
    """Bytes that no placement can go below."""
    return _problem(program.buffers, program.overlaps).bound


def _bottom_up_steps(program: Program, offsets: Mapping[str, int]) -> Iterator[int]:
    """The steps whose output lies over its input in the way that needs the last row first."""
    buffers = {buffer.name: buffer for buffer in program.buffers}
    for overlap in program.overlaps:
        output, source = buffers[overlap.output], buffers[overlap.input]
        gap = offsets[overlap.input] - offsets[overlap.output]
        apart = gap >= output.bytes or -gap >= source.bytes
        if not apart and gap < overlap.distance:
            yield program.step_at(output.first)


def _problem(buffers: Sequence[Buffer], overlaps: Iterable[Overlap]) -> _Problem:
    index = {buffer.name: i for i, buffer in enumerate(buffers)}
    gaps = {}
    for overlap in overlaps:
        output, source = index[overlap.output], index[overlap.input]
        gaps[source, output] = _gap(overlap.distance)
        if overlap.distance_bottom_up is not None:
            gaps[output, source] = _gap(overlap.distance_bottom_up)
    sizes = [_align(buffer.bytes) for buffer in buffers]

    def clearance(upper: int, lower: int) -> int:
        return min(sizes[lower], gaps.get((upper, lower), sizes[lower]))

    conflicts = tuple(
        tuple(
            _Conflict(j, clearance(i, j), clearance(j, i))
            for j, b in enumerate(buffers)
            if j != i and a.alive_with(b)
        )
        for i, a in enumerate(buffers)
    )
    bound = _lower_bound(buffers, gaps)
    return _Problem(tuple(buffers), conflicts, bound)


def _gap(distance: int) -> int:
    """Distances round up to the alignment; what starts lower is called the lower one."""
    return max(_align(distance), 0)


def _lower_bound(buffers: Sequence[Buffer], gaps: Mapping[tuple[int, int], int]) -> int:
    """The largest live set over all steps, minus what the allowed overlaps can save there.

    Every buffer but the topmost one takes whole words, since the next one starts at a word.
    """
    sizes = [_align(buffer.bytes) for buffer in buffers]
    # An output is born later than the input that dies there.
    pairs = {(a, b) if buffers[a].first > buffers[b].first else (b, a) for a, b in gaps}
    bound = 0
    for live in _live_sets(buffers):
        total = sum(sizes[i] for i in live)
        total -= max((sizes[i] - buffers[i].bytes for i in live), default=0)
        saved: dict[int, int] = {}
        for a, b in pairs:
            if a in live and b in live:
                union = min(
                    max(sizes[lower], gaps[upper, lower] + sizes[upper])
                    for upper, lower in ((a, b), (b, a))
                    if (upper, lower) in gaps
                )
                saved[a] = saved.get(a, 0) + max(sizes[a] + sizes[b] - union, 0)
        total -= sum(min(relief, sizes[output]) for output, relief in saved.items())
        bound = max(bound, total)
    return bound


def _live_sets(buffers: Sequence[Buffer]) -> list[frozenset[int]]:
    """The different sets of buffers, by index, that hold data at one position."""
    length = max((buffer.last for buffer in buffers), default=-1) + 1
    alive = np.zeros((len(buffers), length), bool)
    for row, buffer in zip(alive, buffers, strict=True):
        if buffer.busy is None:
            row[buffer.first : buffer.last + 1] = True
        else:
            packed = np.frombuffer(buffer.busy.to_bytes(length // 8 + 1, "little"), np.uint8)
            row[:] = np.unpackbits(packed, bitorder="little")[:length]
    columns = np.unique(alive, axis=1).T
    return [frozenset(np.flatnonzero(column).tolist()) for column in columns]


def _lowest(problem: _Problem, placed: Mapping[int, int], item: int) -> int:
    """The lowest feasible offset of ``item`` among the placed buffers."""
    taken = sorted(
        (placed[other] - below, placed[other] + above)
        for other, above, below in problem.conflicts[item]
        if other in placed
    )
    offset = 0
    for below, above in taken:
        if offset <= below:
            break
        offset = max(offset, above)
    return offset


def _best_greedy(problem: _Problem) -> tuple[dict[int, int], int]:
    """The best of a few orders: by size, by life, and by both."""
    items = range(len(problem.buffers))

    def size(i: int) -> int:
        return problem.buffers[i].bytes

    def life(i: int) -> int:
        return problem.buffers[i].last - problem.buffers[i].first

    orders = (
        sorted(items, key=lambda i: (-size(i), i)),
        sorted(items, key=lambda i: (-life(i) * size(i), i)),
        sorted(items, key=lambda i: (problem.buffers[i].first, -size(i), i)),
        sorted(items, key=lambda i: (-problem.buffers[i].last, -size(i), i)),
    )
    placements = [_place_in_order(problem, order) for order in orders]
    return min(placements, key=lambda result: result[1])


def _squeaky_wheel(
    problem: _Problem, offsets: dict[int, int], peak: int
) -> tuple[dict[int, int], int]:
    """Bump the buffers at the peak, and one of their neighbours, to the front and place again."""
    random = Random(0)
    order = sorted(offsets, key=lambda i: (-problem.buffers[i].bytes, i))
    best, best_peak = offsets, peak
    for _ in range(problem.affordable(WHEEL_ROUNDS, comparisons=WHEEL_PAIRS)):
        placed, reached = _place_in_order(problem, order)
        if reached < best_peak:
            best, best_peak = placed, reached
        if best_peak <= problem.bound:
            break
        top = [i for i in order if placed[i] + problem.buffers[i].bytes == reached]
        squeaky = random.choice(top)
        neighbours = [squeaky, *(conflict.other for conflict in problem.conflicts[squeaky])]
        front = random.sample(neighbours, k=random.randint(1, len(neighbours)))
        order = front + [i for i in order if i not in front]
    return best, best_peak


def _place_in_order(problem: _Problem, order: Iterable[int]) -> tuple[dict[int, int], int]:
    placed: dict[int, int] = {}
    for item in order:
        placed[item] = _lowest(problem, placed, item)
    return placed, _peak(problem, placed)


def _peak(problem: _Problem, placed: Mapping[int, int]) -> int:
    return max((offset + problem.buffers[i].bytes for i, offset in placed.items()), default=0)


def _branch_and_bound(
    problem: _Problem, offsets: dict[int, int], peak: int
) -> tuple[dict[int, int], int]:
    search = _Search(problem, offsets, peak)
    search.place(_Lowest(dict.fromkeys(range(len(problem.buffers)), 0), {}), 0)
    return search.best, search.best_peak


@dataclass(frozen=True)
class _Lowest:
    """The lowest feasible offset of every buffer that waits, not below the one placed last.

    pending: where those that may only start together with a placed buffer go from there.
    """

    offsets: Mapping[int, int]
    pending: Mapping[int, int]


class _Search:
    """Places buffers in order of offset: what is placed only pushes the waiting ones up."""

    def __init__(self, problem: _Problem, best: Mapping[int, int], best_peak: int) -> None:
        self.best, self.best_peak = dict(best), best_peak
        self._problem, self._placed, self._nodes = problem, dict[int, int](), 0
        self._node_limit = problem.affordable(NODE_LIMIT, comparisons=NODE_PAIRS)
        self._sizes = [buffer.bytes for buffer in problem.buffers]
        self._pushed = [[0] * len(self._sizes) for _ in self._sizes]
        self._beside: list[list[int]] = [[] for _ in self._sizes]
        for item, conflicts in enumerate(problem.conflicts):
            for conflict in conflicts:
                self._pushed[item][conflict.other] = conflict.below
                if conflict.above == 0:
                    self._beside[item].append(conflict.other)

    def place(self, lowest: _Lowest, least: int) -> None:
        """Try the waiting buffers at their lowest offsets."""
        self._nodes += 1
        if self._nodes > self._node_limit or self.best_peak <= self._problem.bound:
            return
        offsets, sizes = lowest.offsets, self._sizes
        if not offsets:
            self.best, self.best_peak = dict(self._placed), _peak(self._problem, self._placed)
            return
        ends = [offset + sizes[i] for i, offset in offsets.items()]
        if max(ends) >= self.best_peak:
            return
        # A buffer that could still be placed wholly below another must not be skipped over it.
        horizon = min(ends)
        candidates = sorted(
            (offset, -sizes[i], i) for i, offset in offsets.items() if offset < horizon
        )
        for offset, _, item in candidates:
            self._placed[item] = offset
            self.place(self._pushed_up(lowest, least, item), offset)
            del self._placed[item]

    def _pushed_up(self, lowest: _Lowest, least: int, item: int) -> _Lowest:
        """What is lowest once ``item`` is placed there, too."""
        offsets, pushed = dict(lowest.offsets), self._pushed[item]
        place = offsets.pop(item)
        pending = {i: offset for i, offset in lowest.pending.items() if i in offsets}
        if place > least:
            offsets |= {i: max(offsets[i], offset) for i, offset in pending.items()}
            pending = {}
        result = {
            i: offset if offset > (other := place + pushed[i]) else other
            for i, offset in offsets.items()
        }
        for i in self._beside[item]:
            if offsets.get(i, place + 1) <= place:
                pending[i] = max(pending.get(i, 0), result[i])
                result[i] = place
        for i in [i for i in pending if result[i] > place]:
            result[i] = max(result[i], pending.pop(i))
        return _Lowest(result, pending)
