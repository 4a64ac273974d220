# SPDX-License-Identifier: Apache-2.0
"""How far the search lets an output overtake an input, against the replay of the lowered segment."""

from __future__ import annotations

import functools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.graphs import GRAPHS, SAME_3, GraphBuilder, square
from support.random_graphs import GraphSpec, build_graph, graph_specs

from edgekit.converters.choose import Choice, choose
from edgekit.converters.lowering.lower import lower
from edgekit.converters.schedule.chases import Chase, Chases, MapBytes
from edgekit.converters.schedule.facts import Facts
from edgekit.converters.schedule.gather import gather_facts
from edgekit.converters.schedule.plan import Plan, PlannedPair, PlannedSegment
from edgekit.ir import QGraph
from edgekit.ops.pad import Pad
from edgekit.program import Program
from edgekit.target import load_target
from edgekit.window import Axis

TARGET = functools.cache(load_target)


def flowing(facts: Facts, i: int, j: int, *pairs: PlannedPair) -> Plan:
    """Items i to j - 1 as one segment C, all others layerwise."""
    names = [node.name for node in facts.graph.nodes]
    ends = [*(names.index(item.name) for item in facts.items), len(names)]
    first, last = ends[i] if i else 0, ends[j]
    accumulating = tuple(item.name for item in facts.items[i:j] if item.accumulates)
    segments = (
        *(PlannedSegment("L", (name,)) for name in names[:first]),
        PlannedSegment("C", tuple(names[first:last]), pairs, accumulating),
        *(PlannedSegment("L", (name,)) for name in names[last:]),
    )
    return Plan(facts.graph, segments, facts.input_mode).verify()


def fires_everything(program: Program) -> bool:
    """Whether every row of every layer is computed; a crop leaves some out."""
    fired: Counter[int] = Counter()
    for firings in program.script:
        fired[firings.step] += firings.count
    rows = [step.loop.output_height if step.loop else 1 for step in program.steps]
    return all(fired[index] == count for index, count in enumerate(rows))


def has_one_end(facts: Facts, i: int, j: int) -> bool:
    """Whether only the last tensor of a segment is needed behind it."""
    outputs = [facts.tensors[item.unit.output] for item in facts.items[i : j - 1]]
    return all(t.readers and not t.must_be_whole and t.readers[-1] < j for t in outputs)


def check_chases(graph: QGraph, choices: dict[str, Choice]) -> int:
    """How many distances were compared."""
    facts = gather_facts(graph, choices, "overwrite")
    chases, compared = Chases(facts), 0
    for i in range(len(facts.items)):
        for j in range(i + 2, min(len(facts.items), i + 6) + 1):
            if not has_one_end(facts, i, j) or not chases.chases(i, j):
                continue
            program = lower(flowing(facts, i, j), choices)
            replayed = {(o.output, o.input): o.distance for o in program.overlaps}
            for chase in chases.chases(i, j):
                # None: nothing of the input is read, so they are never there at the same time.
                distance = replayed.get((chase.output, chase.input), 0)
                assert chase.distance(0, "C") >= distance, (i, j, chase)
                if fires_everything(program):
                    assert chase.distance(0, "C") == distance, (i, j, chase)
                compared += 1
    return compared


def check_pairs(graph: QGraph, choices: dict[str, Choice]) -> int:
    """The same for segments that end with a pair; how many distances were compared."""
    facts = gather_facts(graph, choices, "overwrite")
    chases, compared = Chases(facts), 0
    for first in sorted(facts.pairs):
        for i in range(max(0, first - 3), first + 1):
            if not has_one_end(facts, i, first + 2):
                continue
            for option in facts.pairs[first]:
                if option.planned.primitive == "E":
                    continue
                program = lower(flowing(facts, i, first + 2, option.planned), choices)
                replayed = {(o.output, o.input): o.distance for o in program.overlaps}
                for chase in chases.chases(i, first + 2):
                    distance = replayed.get((chase.output, chase.input), 0)
                    modelled = chase.distance(0, option.planned.primitive)
                    assert modelled >= distance, (i, option, chase)
                    if fires_everything(program):
                        assert modelled == distance, (i, option, chase)
                    compared += 1
    return compared


@settings(max_examples=100)
@given(model=graph_specs())
def test_distances_of_pairs(model: GraphSpec) -> None:
    graph = build_graph(model)
    check_pairs(graph, choose(graph, TARGET("host")))


def test_no_distance_where_padding_alone_is_read() -> None:
    b = GraphBuilder()
    x = b.conv2d(b.conv2d(b.input("image", (1, 1, 1, 1)), 1), 1)
    x = b.conv2d(b.node("pad", Pad((0, 1, 0, 0), (0, 0, 0, 0)), x), 1)
    graph = b.graph(b.conv2d(b.depthwise(x, square(Axis(1, 2))), 1))
    assert check_chases(graph, choose(graph, TARGET("host"))) > 0


def test_distance_of_an_expansion() -> None:
    """Its rows are wider than those that it reads: one row more makes a difference."""
    b = GraphBuilder()
    x = b.input("image", (1, 12, 8, 4))
    graph = b.graph(b.conv2d(b.depthwise(b.conv2d(x, 16), square(SAME_3)), 4))
    assert check_pairs(graph, choose(graph, TARGET("host"))) == 7


@settings(max_examples=60)
@given(model=graph_specs(), target=st.sampled_from(["host", "cortex-m4"]))
def test_distances_of_random_models(model: GraphSpec, target: str) -> None:
    graph = build_graph(model)
    check_chases(graph, choose(graph, TARGET(target)))


@pytest.mark.parametrize("name", [name for name in GRAPHS if name != "two_by_two"])
def test_distances(name: str) -> None:
    graph = GRAPHS[name]()
    assert check_chases(graph, choose(graph, TARGET("cortex-m4"))) > 0


def test_shared_bytes() -> None:
    chase = Chase("y", "x", output_bytes=80, input_bytes=100, distances={"C": 16, "F": 24})
    maps = MapBytes(300, (chase,))
    assert maps.bytes_with(0) == 300 - 180 + 116
    assert maps.bytes_with(0, "F") == 300 - 180 + 124
    assert maps.bytes_with(10) == 300 - 180 + 128
    far = Chase("y", "x", output_bytes=80, input_bytes=100, distances={"C": 200})
    assert MapBytes(300, (far,)).bytes_with(0) == 300


def test_input_may_begin_below_the_output() -> None:
    chase = Chase("y", "x", output_bytes=40, input_bytes=100, distances={"C": -60})
    assert MapBytes(140, (chase,)).bytes_with(0) == 100


def test_output_shares_its_bytes_once() -> None:
    """Two inputs that die may both be overwritten, but no byte twice."""
    both = tuple(Chase("y", x, 40, 100, distances={"C": -60}) for x in ("a", "b"))
    assert MapBytes(240, both).bytes_with(0) == 200


def test_inputs_lie_apart() -> None:
    """Each may be overtaken from its first byte on, but they cannot both begin there."""
    both = tuple(Chase("y", x, 40, 20, distances={"C": 0}) for x in ("a", "b"))
    assert MapBytes(80, both).bytes_with(0) == 40
    both = tuple(Chase("y", x, 40, 20, distances={"C": 20}) for x in ("a", "b"))
    assert MapBytes(80, both).bytes_with(0) == 60
