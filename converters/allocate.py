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


@dataclass(frozen=True)
class _Problem:
    buffers: tuple[Buffer, ...]
    conflicts: tuple[tuple[int, ...], ...]
    gaps: Mapping[tuple[int, int], int]
    """(upper, lower) -> least offset of upper - offset of lower at which they may share bytes."""
    bound: int

    def affordable(self, rounds: int, *, comparisons: int) -> int:
        """How many rounds over all buffers are within ``comparisons``, at most ``rounds``."""
        pairs = sum(len(others) for others in self.conflicts)
        return min(rounds, comparisons // max(pairs, 1))

    def clearance(self, upper: int, lower: int) -> int:
        """Least offset of ``upper`` above that of ``lower``."""
        size = self.buffers[lower].bytes
        return min(size, self.gaps.get((upper, lower), size))


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
    conflicts = tuple(
        tuple(j for j, b in enumerate(buffers) if j != i and a.alive_with(b))
        for i, a in enumerate(buffers)
    )
    bound = _lower_bound(buffers, gaps)
    return _Problem(tuple(buffers), conflicts, gaps, bound)


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


def _lowest(problem: _Problem, placed: Mapping[int, int], item: int, least: int) -> int:
    """The lowest feasible offset >= least of ``item`` among the placed buffers."""
    taken = sorted(
        (
            placed[other] - problem.clearance(other, item),
            placed[other] + problem.clearance(item, other),
        )
        for other in problem.conflicts[item]
        if other in placed
    )
    offset = _align(least)
    for below, above in taken:
        if offset <= below:
            break
        offset = max(offset, _align(above))
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
        neighbours = [squeaky, *problem.conflicts[squeaky]]
        front = random.sample(neighbours, k=random.randint(1, len(neighbours)))
        order = front + [i for i in order if i not in front]
    return best, best_peak


def _place_in_order(problem: _Problem, order: Iterable[int]) -> tuple[dict[int, int], int]:
    placed: dict[int, int] = {}
    for item in order:
        placed[item] = _lowest(problem, placed, item, 0)
    return placed, _peak(problem, placed)


def _peak(problem: _Problem, placed: Mapping[int, int]) -> int:
    return max((offset + problem.buffers[i].bytes for i, offset in placed.items()), default=0)


def _branch_and_bound(
    problem: _Problem, offsets: dict[int, int], peak: int
) -> tuple[dict[int, int], int]:
    best, best_peak, nodes = dict(offsets), peak, 0
    everything = frozenset(range(len(problem.buffers)))
    node_limit = problem.affordable(NODE_LIMIT, comparisons=NODE_PAIRS)

    def search(placed: dict[int, int], least: int, remaining: frozenset[int]) -> None:
        nonlocal best, best_peak, nodes
        nodes += 1
        if nodes > node_limit or best_peak <= problem.bound:
            return
        if not remaining:
            best, best_peak = dict(placed), _peak(problem, placed)
            return
        positions = {i: _lowest(problem, placed, i, least) for i in remaining}
        ends = {i: positions[i] + problem.buffers[i].bytes for i in remaining}
        if max(ends.values()) >= best_peak:
            return
        # A buffer that could still be placed wholly below another must not be skipped over it.
        horizon = min(ends.values())
        candidates = sorted(
            (i for i in remaining if positions[i] < horizon),
            key=lambda i: (positions[i], -problem.buffers[i].bytes, i),
        )
        for item in candidates:
            placed[item] = positions[item]
            search(placed, positions[item], remaining - {item})
            del placed[item]

    search({}, 0, everything)
    return best, best_peak
