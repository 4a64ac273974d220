# SPDX-License-Identifier: Apache-2.0
"""Random plans: where a model is cut, which layers run as pairs, what accumulates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from unittest import mock

from hypothesis import strategies as st

from edgekit.converters.choose import Choice
from edgekit.converters.lowering.storage import Storage
from edgekit.converters.lowering.tiles import tiles_of
from edgekit.converters.schedule.facts import Facts
from edgekit.converters.schedule.gather import gather_facts
from edgekit.converters.schedule.plan import Plan, PlannedPair, PlannedSegment
from edgekit.ir import QGraph
from edgekit.kernel import Kernel
from edgekit.program import InputMode


@dataclass(frozen=True)
class PlanSpec:
    """sizes: nodes of each segment (0: one node layerwise); the rest is the last segment.

    pairs: how each possible pair runs ("-": not as one; D where it cannot run as is asked for), and
    in blocks of how many columns, or multiples of what its kernel allows. whole: positions of layers
    that do not take their input row by row though they could. tiles: which segments run in strips
    (H) or patches (B), as far as their layers can, and in how many. Lists that are too short go on
    with their neutral element.
    """

    sizes: tuple[int, ...]
    pairs: tuple[tuple[Literal["-", "F", "R", "E", "D"], int], ...]
    whole: tuple[int, ...]
    tiles: tuple[tuple[Literal["-", "H", "B"], int], ...]


def plan_specs() -> st.SearchStrategy[PlanSpec]:
    primitive = st.sampled_from(["-", "-", "F", "F", "F", "R", "R", "E", "E", "D", "D"])
    pair = st.tuples(primitive, st.integers(1, 4))
    tile = st.tuples(st.sampled_from(["-", "H", "H", "H", "B"]), st.sampled_from([2, 2, 3, 4, 1]))
    return st.builds(
        PlanSpec,
        sizes=st.lists(st.sampled_from([0, 0, 1, 2, 3, 4, 5, 7]), max_size=8).map(tuple),
        pairs=st.lists(pair, min_size=1, max_size=8).map(tuple),
        whole=st.lists(st.integers(0, 9), max_size=1).map(tuple),
        tiles=st.lists(tile, min_size=1, max_size=4).map(tuple),
    )


def build_plan(
    spec: PlanSpec, graph: QGraph, choices: Mapping[str, Choice], input_mode: InputMode
) -> Plan:
    with mock.patch("edgekit.converters.schedule.pair_options.COLUMNS", (1,)):
        facts = gather_facts(graph, choices, input_mode, compact=True)
    pairs = list(_pairs(spec, facts, choices))
    accumulating = [item.name for item in facts.items if item.accumulates]
    for position in spec.whole[: len(accumulating)]:
        del accumulating[position % len(accumulating)]
    tiling = _Tiling(graph, choices, input_mode)
    segments: list[PlannedSegment] = []
    cut = _cut([node.name for node in graph.nodes], spec.sizes)
    for (primitive, names), (tiles, parts) in zip(cut, (*spec.tiles, *NO_TILES), strict=False):
        begin = end = 0
        if tiles != "-":
            begin, end = tiling.longest(tiles, names, parts, first=not segments)
        for kind, part in ((primitive, names[:begin]), (tiles, names[begin:end])):
            if part and kind != "-":
                segments.append(_segment(kind, part, pairs, accumulating, parts))
        if names[end:]:
            segments.append(_segment(primitive, names[end:], pairs, accumulating, 1))
    if input_mode in ("stream", "pull") and segments and segments[0].primitive == "L":
        segments.insert(0, PlannedSegment("C", ()))
    return Plan(graph, tuple(segments), input_mode).verify()


NO_TILES: tuple[tuple[Literal["-", "H", "B"], int], ...] = (("-", 1),) * 100


class _Tiling:
    """Which layers of a segment can run in strips or patches."""

    def __init__(self, graph: QGraph, choices: Mapping[str, Choice], input_mode: InputMode) -> None:
        self._graph, self._choices, self._mode = graph, choices, input_mode
        arena_input = input_mode != "resident"
        self._storage = Storage(graph, choices, arena_input=arena_input)

    def longest(
        self, primitive: Literal["H", "B"], names: Sequence[str], parts: int, *, first: bool
    ) -> tuple[int, int]:
        """[begin, end) of the most nodes that can; none can: [0, 0)."""
        for size in range(len(names), 0, -1):
            for begin in range(len(names) - size + 1):
                if self._can(primitive, names[begin : begin + size], parts, first and begin == 0):
                    return begin, begin + size
        return 0, 0

    def _can(
        self, primitive: Literal["H", "B"], names: Sequence[str], parts: int, first: bool
    ) -> bool:
        if first and self._mode == "stream":
            return False
        arriving = [self._graph.inputs[0].tensor] if first and self._mode == "pull" else []
        planned = PlannedSegment(primitive, tuple(names), parts=parts)
        return bool(tiles_of(planned, self._storage, self._choices, arriving=arriving))


def _segment(
    primitive: Literal["L", "C", "H", "B"],
    names: tuple[str, ...],
    pairs: Sequence[PlannedPair],
    accumulating: Sequence[str],
    parts: int,
) -> PlannedSegment:
    inside = tuple(
        pair
        for pair in pairs
        if {pair.producer, pair.consumer} <= set(names)
        and (pair.primitive != "D" or primitive == "C")
    )
    taken = tuple(name for name in names if name in accumulating)
    flows, tiled = primitive in ("C", "H"), primitive in ("H", "B")
    return PlannedSegment(
        primitive,
        names,
        inside if flows else (),
        taken if primitive == "C" else (),
        parts if tiled else 1,
    )


def _cut(
    names: Sequence[str], sizes: Sequence[int]
) -> Iterator[tuple[Literal["L", "C"], tuple[str, ...]]]:
    start = 0
    for size in (*sizes, len(names)):
        part = tuple(names[start : start + max(size, 1)])
        if part:
            yield ("L" if size == 0 else "C"), part
        start += len(part)


def _pairs(spec: PlanSpec, facts: Facts, choices: Mapping[str, Choice]) -> Iterator[PlannedPair]:
    """Pairs that do not share a layer, in any segment."""
    calls = {call.node.name: call for call in facts.graph.calls()}
    last = -2
    for index, (primitive, blocks) in zip(sorted(facts.pairs), spec.pairs, strict=False):
        if primitive == "-" or index == last + 1:
            continue
        options, last = [option.planned for option in facts.pairs[index]], index
        # An even number of blocks asks for a compact pair, where there are both kinds.
        own = [o for o in options if o.compact == (blocks % 2 == 0)] or options
        kinds = {planned.primitive for planned in own}
        names, compact = (own[0].producer, own[0].consumer), own[0].compact
        if primitive == "D" or primitive not in kinds:
            if "D" in kinds:
                yield PlannedPair("D", *names, blocks, compact)
            continue
        kernels = [_kernel(choices[name], compact) for name in names]
        calls_of = [calls[name] for name in names]
        multiple = math.lcm(
            *(k.channel_blocks(call) for k, call in zip(kernels, calls_of, strict=True))
        )
        yield PlannedPair(primitive, *names, blocks * multiple, compact)


def _kernel(choice: Choice, compact: bool) -> Kernel:
    return choice.compact.kernel if compact and choice.compact else choice.kernel
