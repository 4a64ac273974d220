# SPDX-License-Identifier: Apache-2.0
"""Placement of buffers: always valid, never below the bound, and exact where all can be tried."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.graphs import residual

from edgekit.converters import allocate as allocate_module
from edgekit.converters.allocate import allocate
from edgekit.program import BUFFER_ALIGN, Buffer, Firings, Image, Overlap, Program

GRAPH = residual()


def placed(buffers: Sequence[Buffer], overlaps: Sequence[Overlap] = ()) -> Image:
    script = tuple(Firings(position, 0, 1) for position in range(40))
    return allocate(Program(GRAPH, (), script, tuple(buffers), tuple(overlaps), ())).verify()


def live_bytes(buffers: Sequence[Buffer]) -> int:
    """The largest sum of live buffers over all steps: a bound where nothing may overlap."""
    return max(
        (sum(b.bytes for b in buffers if b.first <= step <= b.last) for step in range(40)),
        default=0,
    )


@st.composite
def problems(draw: st.DrawFn, *, most: int) -> tuple[tuple[Buffer, ...], tuple[Overlap, ...]]:
    """Random sizes and lives; an output may lie over inputs that die where it is born."""
    grain = draw(st.sampled_from((1, 4)))
    buffers = []
    for index in range(draw(st.integers(0, most))):
        first = draw(st.integers(0, 6))
        size = grain * draw(st.integers(1, 12))
        buffers.append(Buffer(f"b{index}", size, first, first + draw(st.integers(0, 3))))
    output_of_step = {buffer.first: buffer for buffer in buffers}
    overlaps = []
    for step, output in sorted(output_of_step.items()):
        dying = [b for b in buffers if b is not output and b.last == step > b.first]
        chosen = [source for source in dying if draw(st.booleans())]
        distances = st.integers(-20, 60)
        bottom_up = st.none() | distances if len(chosen) == 1 else st.none()
        overlaps += [
            Overlap(output.name, source.name, draw(distances), draw(bottom_up)) for source in chosen
        ]
    return tuple(buffers), tuple(overlaps)


Offsets = Mapping[str, int]


def allowed_gaps(overlaps: Sequence[Overlap]) -> dict[tuple[str, str], int]:
    """(lower, upper) -> least offset of the upper one above the lower one."""
    gaps = {(o.output, o.input): o.distance for o in overlaps}
    for o in overlaps:
        if o.distance_bottom_up is not None:
            gaps[o.input, o.output] = o.distance_bottom_up
    return gaps


def is_valid(
    buffers: Sequence[Buffer], allowed: Mapping[tuple[str, str], int], offsets: Offsets
) -> bool:
    """Whether the placed buffers respect lives and overlaps; written apart from Image.verify."""
    for a, b in itertools.combinations([b for b in buffers if b.name in offsets], 2):
        bytes_a = set(range(offsets[a.name], offsets[a.name] + a.bytes))
        shares = bytes_a & set(range(offsets[b.name], offsets[b.name] + b.bytes))
        if not shares or a.last < b.first or b.last < a.first:
            continue
        ways = (
            offsets[b.name] - offsets[a.name] >= allowed.get((a.name, b.name), 10**9),
            offsets[a.name] - offsets[b.name] >= allowed.get((b.name, a.name), 10**9),
        )
        if not any(ways):
            return False
    return True


def exhaustive_peak(buffers: Sequence[Buffer], overlaps: Sequence[Overlap]) -> int:
    """The least peak over every order of placement, each buffer at its lowest valid offset.

    Some order of that kind is optimal: take an optimal placement and push its buffers down, the
    lowest first. By the allocator's own rule an output never starts above its input, although a
    negative distance would allow it.
    """
    allowed = {pair: max(distance, 0) for pair, distance in allowed_gaps(overlaps).items()}
    best = sum(b.bytes + BUFFER_ALIGN for b in buffers)

    def candidates(offsets: Offsets) -> Iterator[int]:
        yield 0
        for other in buffers:
            if other.name in offsets:
                yield offsets[other.name] + other.bytes
                for distance in allowed.values():
                    yield offsets[other.name] + distance

    def place(offsets: dict[str, int], peak: int) -> None:
        nonlocal best
        if peak >= best:
            return
        rest = [b for b in buffers if b.name not in offsets]
        if not rest:
            best = peak
            return
        aligned = sorted(
            {-(-max(c, 0) // BUFFER_ALIGN) * BUFFER_ALIGN for c in candidates(offsets)}
        )
        for buffer in rest:
            tries = ({**offsets, buffer.name: offset} for offset in aligned)
            chosen = next(t for t in tries if is_valid(buffers, allowed, t))
            place(chosen, max(peak, chosen[buffer.name] + buffer.bytes))

    place({}, 0)
    return best


@settings(max_examples=150)
@given(problem=problems(most=14))
def test_placement_is_valid_and_not_below_the_bound(
    problem: tuple[tuple[Buffer, ...], tuple[Overlap, ...]],
) -> None:
    buffers, overlaps = problem
    image = placed(buffers, overlaps)
    allowed = allowed_gaps(overlaps)
    assert is_valid(buffers, allowed, image.offsets)
    assert all(offset >= 0 and offset % BUFFER_ALIGN == 0 for offset in image.offsets.values())
    ends = [image.offsets[b.name] + b.bytes for b in buffers]
    assert image.arena_bytes == max(ends, default=0)
    assert image.arena_lower_bound_bytes <= image.arena_bytes
    if not overlaps:
        assert live_bytes(buffers) <= image.arena_lower_bound_bytes


def lowest_anew(
    problem: allocate_module._Problem, placed: Mapping[int, int], item: int, least: int
) -> int:
    """The first offset from ``least`` that no placed buffer forbids."""
    return next(
        offset
        for offset in itertools.count(least, BUFFER_ALIGN)
        if not any(
            placed[other] - below < offset < placed[other] + above
            for other, above, below in problem.conflicts[item]
            if other in placed
        )
    )


@settings(max_examples=60)
@given(drawn=problems(most=7))
def test_the_exact_search_knows_where_placing_anew_would_put_what_waits(
    drawn: tuple[tuple[Buffer, ...], tuple[Overlap, ...]],
) -> None:
    problem = dataclasses.replace(allocate_module._problem(*drawn), bound=-1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(allocate_module, "NODE_LIMIT", 100)
        search = allocate_module._Search(problem, {}, 10**6)
    place = search.place

    def checked(lowest: allocate_module._Lowest, least: int) -> None:
        for item, offset in lowest.offsets.items():
            assert offset == lowest_anew(problem, search._placed, item, least)
        place(lowest, least)

    search.place = checked  # type: ignore[method-assign]
    checked(allocate_module._Lowest(dict.fromkeys(range(len(drawn[0])), 0), {}), 0)
    assert len(search.best) == len(drawn[0])


@settings(max_examples=120)
@given(problem=problems(most=5))
def test_no_order_of_placement_is_better(
    problem: tuple[tuple[Buffer, ...], tuple[Overlap, ...]],
) -> None:
    buffers, overlaps = problem
    image = placed(buffers, overlaps)
    assert image.arena_bytes == exhaustive_peak(buffers, overlaps)
    assert image.arena_lower_bound_bytes <= image.arena_bytes


@settings(max_examples=25)
@given(problem=problems(most=6))
def test_no_order_of_six_buffers_is_better(
    problem: tuple[tuple[Buffer, ...], tuple[Overlap, ...]],
) -> None:
    assert placed(*problem).arena_bytes == exhaustive_peak(*problem)


@settings(max_examples=100)
@given(problem=problems(most=5))
def test_branch_and_bound_is_exact_without_the_heuristics_in_front_of_it(
    problem: tuple[tuple[Buffer, ...], tuple[Overlap, ...]],
) -> None:
    """It starts from all buffers side by side, far from any optimum."""
    buffers, overlaps = problem
    inner = allocate_module._problem(buffers, overlaps)
    offsets = {i: 1000 * i for i in range(len(buffers))}
    _, peak = allocate_module._branch_and_bound(inner, offsets, 1000 * len(buffers))
    assert peak == exhaustive_peak(buffers, overlaps)


@settings(max_examples=20)
@given(problem=problems(most=10))
def test_same_problem_same_offsets(
    problem: tuple[tuple[Buffer, ...], tuple[Overlap, ...]],
) -> None:
    assert placed(*problem).offsets == placed(*problem).offsets


def test_no_buffers() -> None:
    image = placed([])
    assert (image.arena_bytes, image.arena_lower_bound_bytes, dict(image.offsets)) == (0, 0, {})


def test_one_buffer_of_odd_size_takes_its_own_bytes() -> None:
    image = placed([Buffer("a", 13, 0, 0)])
    assert (image.arena_bytes, image.arena_lower_bound_bytes) == (13, 13)


def test_buffers_of_one_step_lie_side_by_side_and_aligned() -> None:
    """Odd sizes: the one whose last word has the most room goes on top."""
    image = placed([Buffer("a", 13, 0, 0), Buffer("b", 5, 0, 0), Buffer("c", 8, 0, 0)])
    assert image.arena_bytes == image.arena_lower_bound_bytes == 29


def test_buffers_that_never_meet_share_their_bytes() -> None:
    image = placed([Buffer("a", 100, 0, 1), Buffer("b", 100, 2, 3)])
    assert dict(image.offsets) == {"a": 0, "b": 0}


def test_shared_step_keeps_buffers_apart() -> None:
    """The last step of one is the first of the other, and no overlap is allowed."""
    image = placed([Buffer("a", 100, 0, 2), Buffer("b", 60, 2, 3)])
    assert image.arena_bytes == 160


@pytest.mark.parametrize(
    ("distance", "arena_bytes"),
    [(0, 64), (-40, 64), (1, 68), (4, 68), (30, 96), (32, 96), (64, 128), (500, 128)],
    ids=[
        "in_place",
        "negative_is_in_place",
        "rounds_up_to_the_alignment",
        "chase",
        "chase_rounded",
        "chase_half_way",
        "as_large_as_the_output",
        "larger_than_the_output",
    ],
)
def test_output_lies_below_its_dying_input(distance: int, arena_bytes: int) -> None:
    buffers = [Buffer("in", 64, 0, 1), Buffer("out", 64, 1, 2)]
    image = placed(buffers, [Overlap("out", "in", distance)])
    assert image.arena_bytes == image.arena_lower_bound_bytes == arena_bytes
    if arena_bytes < 128:
        gap = image.offsets["in"] - image.offsets["out"]
        assert gap >= distance
        assert gap == arena_bytes - 64


def test_small_output_under_a_large_input() -> None:
    buffers = [Buffer("in", 64, 0, 1), Buffer("out", 16, 1, 2)]
    assert placed(buffers, [Overlap("out", "in", 8)]).arena_bytes == 72
    assert placed(buffers, [Overlap("out", "in", 0)]).arena_bytes == 64


def test_large_output_over_a_small_input_at_its_end() -> None:
    """An expansion: the input lies at the end of what the output will cover."""
    buffers = [Buffer("in", 16, 0, 1), Buffer("out", 64, 1, 2)]
    image = placed(buffers, [Overlap("out", "in", 48)])
    assert image.arena_bytes == 64
    assert image.offsets == {"in": 48, "out": 0}


def test_sum_over_both_of_its_dying_operands() -> None:
    buffers = [Buffer("a", 32, 0, 2), Buffer("b", 32, 1, 2), Buffer("sum", 32, 2, 3)]
    overlaps = [Overlap("sum", "a", 0), Overlap("sum", "b", 0)]
    image = placed(buffers, overlaps)
    assert image.arena_bytes == image.arena_lower_bound_bytes == 64


def test_scratch_never_overlaps_the_maps_of_its_step() -> None:
    buffers = [Buffer("in", 32, 0, 1), Buffer("out", 32, 1, 2), Buffer("scratch", 12, 1, 1)]
    assert placed(buffers, [Overlap("out", "in", 0)]).arena_bytes == 44


def test_chain_of_chases_is_worth_more_than_two_whole_maps() -> None:
    """Every map 4 bytes below the one before."""
    buffers = [Buffer(f"t{i}", 100, i, i + 1) for i in range(6)]
    overlaps = [Overlap(f"t{i + 1}", f"t{i}", 4) for i in range(5)]
    image = placed(buffers, overlaps)
    assert image.arena_bytes == 120
    assert [image.offsets[f"t{i}"] for i in range(6)] == [20, 16, 12, 8, 4, 0]


def test_greedy_by_size_is_improved_on() -> None:
    """Largest first leaves a gap of 4 below d; the best order has none."""
    buffers = [
        Buffer("a", 36, 0, 1),
        Buffer("b", 32, 1, 3),
        Buffer("c", 28, 3, 4),
        Buffer("d", 24, 0, 2),
        Buffer("e", 20, 2, 4),
    ]
    assert placed(buffers).arena_bytes == exhaustive_peak(buffers, ())
