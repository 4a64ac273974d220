# SPDX-License-Identifier: Apache-2.0
"""Random plans: where a model is cut, which layers run as pairs, what accumulates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from unittest import mock

from hypothesis import strategies as st

from edgekit.converters.choose import Choice
from edgekit.converters.schedule.facts import Facts, gather_facts
from edgekit.converters.schedule.plan import Plan, PlannedPair, PlannedSegment
from edgekit.ir import QGraph
from edgekit.program import InputMode


@dataclass(frozen=True)
class PlanSpec:
    """sizes: nodes of each segment (0: one node layerwise); the rest is the last segment.

    pairs: how each possible pair runs ("-": not as one; D where it cannot run as is asked for), and
    in blocks of how many columns, or multiples of what its kernel allows. whole: positions of layers
    that do not take their input row by row though they could. Lists that are too short go on with
    their neutral element.
    """

    sizes: tuple[int, ...]
    pairs: tuple[tuple[Literal["-", "F", "R", "E", "D"], int], ...]
    whole: tuple[int, ...]


def plan_specs() -> st.SearchStrategy[PlanSpec]:
    pair = st.tuples(
        st.sampled_from(["-", "-", "F", "F", "F", "R", "R", "E", "E", "D", "D"]), st.integers(1, 4)
    )
    return st.builds(
        PlanSpec,
        sizes=st.lists(st.sampled_from([0, 0, 1, 2, 3, 4, 5, 7]), max_size=8).map(tuple),
        pairs=st.lists(pair, min_size=1, max_size=8).map(tuple),
        whole=st.lists(st.integers(0, 9), max_size=1).map(tuple),
    )


def build_plan(
    spec: PlanSpec, graph: QGraph, choices: Mapping[str, Choice], input_mode: InputMode
) -> Plan:
    with mock.patch("edgekit.converters.schedule.facts.COLUMNS", (1,)):
        facts = gather_facts(graph, choices, input_mode)
    pairs = list(_pairs(spec, facts, choices))
    accumulating = [item.name for item in facts.items if item.accumulates]
    for position in spec.whole[: len(accumulating)]:
        del accumulating[position % len(accumulating)]
    segments = []
    for primitive, names in _cut([node.name for node in graph.nodes], spec.sizes):
        inside = tuple(p for p in pairs if {p.producer, p.consumer} <= set(names))
        taken = tuple(name for name in names if name in accumulating)
        flows = primitive == "C"
        segments.append(
            PlannedSegment(primitive, names, inside if flows else (), taken if flows else ())
        )
    if input_mode in ("stream", "pull") and segments and segments[0].primitive == "L":
        segments.insert(0, PlannedSegment("C", ()))
    return Plan(graph, tuple(segments), input_mode).verify()


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
        planned, last = facts.pairs[index][0].planned, index
        names = planned.producer, planned.consumer
        if primitive == "D" or primitive not in {o.planned.primitive for o in facts.pairs[index]}:
            if facts.pairs[index][-1].planned.primitive == "D":
                yield PlannedPair("D", *names, blocks)
            continue
        multiple = choices[names[0]].kernel.channel_blocks(calls[names[0]])
        yield PlannedPair(primitive, *names, blocks * multiple)
