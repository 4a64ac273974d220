# SPDX-License-Identifier: Apache-2.0
"""The search against every plan of small models, each of them lowered and placed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from unittest import mock

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support.every_plan import every_plan
from support.graphs import HALF_3, SAME_3, GraphBuilder, square
from support.random_graphs import GraphSpec, build_graph, graph_specs

from edgekit.converters.allocate import allocate, lower_bound
from edgekit.converters.choose import choose
from edgekit.converters.lowering.lower import lower
from edgekit.converters.schedule.facts import Facts
from edgekit.converters.schedule.flows import Goal
from edgekit.converters.schedule.gather import gather_facts
from edgekit.converters.schedule.plan import Plan
from edgekit.converters.schedule.search import search
from edgekit.ir import QGraph
from edgekit.ops.add import Add
from edgekit.ops.average_pool2d import AveragePool2d
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.ops.mean import Mean
from edgekit.ops.pad import Pad
from edgekit.program import BUFFER_ALIGN, InputMode, OutputMode
from edgekit.target import load_target
from edgekit.window import Axis, Window

ROUNDING = 2 * BUFFER_ALIGN
"""The model counts whole words for every buffer; a placed one need not fill the last of them."""
PACKING = 1.03
"""Placement does not always reach what is alive at one time, which is what the search counts: among
plans of which as much is alive, another one may pack better."""
TARGET = functools.cache(load_target)


def bottleneck() -> QGraph:
    b = GraphBuilder("bottleneck", seed=1)
    x = b.input("image", (1, 9, 7, 6))
    y = b.conv2d(b.depthwise(b.conv2d(x, 16), square(SAME_3)), 6)
    return b.graph(b.node("mean", Mean((1, 2), True), b.node("add", Add(), x, y)))


def two_bottlenecks() -> QGraph:
    b = GraphBuilder("two_bottlenecks", seed=2)
    x = b.conv2d(b.input("image", (1, 16, 12, 3)), 4, square(HALF_3))
    y = b.depthwise(b.conv2d(x, 12), square(SAME_3))
    y = b.depthwise(b.conv2d(y, 16), square(HALF_3))
    return b.graph(b.conv2d(y, 4))


def shortcut() -> QGraph:
    b = GraphBuilder("shortcut", seed=3)
    x = b.conv2d(b.input("image", (1, 12, 10, 3)), 4, square(SAME_3))
    y = b.conv2d(b.conv2d(x, 8, square(HALF_3)), 8, square(SAME_3))
    return b.graph(b.conv2d(b.node("add", Add(), b.conv2d(x, 8, square(HALF_3)), y), 6))


GRAPHS: Mapping[str, Callable[[], QGraph]] = {
    "bottleneck": bottleneck,
    "two_bottlenecks": two_bottlenecks,
    "shortcut": shortcut,
}


class Placing:
    """Arena bytes and executed MACs of plans of one model."""

    def __init__(
        self,
        graph: QGraph,
        input_mode: InputMode,
        output_mode: OutputMode = "resident",
        *,
        compact: bool = False,
    ) -> None:
        self.choices = choose(graph, TARGET("cortex-m4"))
        self.facts: Facts = gather_facts(
            graph, self.choices, input_mode, output_mode, compact=compact
        )

    @property
    def has_branches(self) -> bool:
        """Whether a segment may end with several maps, whose rows wait for each other."""
        return any(len(tensor.readers) > 1 for tensor in self.facts.tensors.values())

    def place(self, plan: Plan) -> tuple[int, int]:
        program = lower(plan, self.choices)
        with mock.patch.multiple("edgekit.converters.allocate", WHEEL_ROUNDS=50, NODE_LIMIT=500):
            return allocate(program).arena_bytes, program.macs_executed


def check_search(placing: Placing, *, strips: bool = False) -> None:
    """No plan needs less memory than the best one found; without recomputation, none that is as fast."""
    macs = sum(item.macs for item in placing.facts.items)
    everything = [
        (*placing.place(costed.plan), costed.instructions)
        for costed in every_plan(placing.facts, placing.choices if strips else None)
    ]
    some = Goal(by_macs=True, extra_macs=macs // 5)
    for goal in (Goal(), Goal(extra_macs=None), *([some] if strips else [])):
        candidates = search(placing.facts, goal)
        found = [(placing.place(c.plan)[0], c.instructions) for c in candidates]
        for candidate in candidates:
            if not placing.has_branches:  # what is alive; that it can be packed so is no promise
                live = lower_bound(lower(candidate.plan, placing.choices))
                assert live <= candidate.arena_bytes + ROUNDING, (goal, candidate)
        allowed = [
            (size, cost)
            for size, executed, cost in everything
            if goal.extra_macs is None or executed <= macs + goal.extra_macs
        ]
        assert min(found)[0] <= min(allowed)[0] * PACKING + ROUNDING, goal
        for size, cost in allowed if goal.extra_macs == 0 else ():
            as_fast = [mine for mine, instructions in found if instructions <= cost * (1 + 1e-9)]
            assert min(as_fast) <= size * PACKING + ROUNDING, (size, cost, found)


@pytest.mark.parametrize("mode", ["resident", "stream", "overwrite"])
@pytest.mark.parametrize("name", GRAPHS)
def test_no_plan_is_better(name: str, mode: InputMode) -> None:
    pair_options = "edgekit.converters.schedule.pair_options"
    with mock.patch.multiple(pair_options, BLOCKS=(4, 16), COLUMNS=(2,)):
        check_search(Placing(GRAPHS[name](), mode))


@pytest.mark.parametrize("mode", ["resident", "stream"])
def test_no_plan_with_compact_pairs_is_better(mode: InputMode) -> None:
    pair_options = "edgekit.converters.schedule.pair_options"
    with mock.patch.multiple(pair_options, BLOCKS=(4, 16), COLUMNS=(2,)):
        placing = Placing(bottleneck(), mode, compact=True)
        kinds = {o.planned.compact for options in placing.facts.pairs.values() for o in options}
        assert kinds == {False, True}
        check_search(placing)


@pytest.mark.parametrize("mode", ["resident", "stream"])
def test_layers_of_which_only_padding_is_read_are_searched(mode: InputMode) -> None:
    """No row of the input reaches the output: the layers in front of it never run."""
    b = GraphBuilder("padding_only", seed=11)
    every_other = Window(Axis(1, 2), Axis(1))
    x = b.node("pad", Pad((0, 2, 2, 2), (0, 0, 1, 1)), b.input("x", (1, 2, 4, 3)))
    x = b.node("average_pool2d", AveragePool2d(every_other), x)
    x = b.node("pad", Pad((0, 1, 0, 1), (0, 1, 2, 2)), x)
    x = b.depthwise(x, Window(Axis(1, 2), Axis(2, 2)))
    x = b.node("max_pool2d", MaxPool2d(Window(Axis(1, 2), Axis(3, 1, 1, 1, 1))), x)
    placing = Placing(b.graph(x), mode)
    for candidate in search(placing.facts):
        placing.place(candidate.plan)


def wide() -> QGraph:
    b = GraphBuilder("wide", seed=4)
    x = b.conv2d(b.input("image", (1, 6, 40, 3)), 4, square(HALF_3))
    y = b.depthwise(b.conv2d(x, 12), square(SAME_3))
    return b.graph(b.conv2d(y, 2))


def wide_sum() -> QGraph:
    b = GraphBuilder("wide_sum", seed=5)
    x = b.node("max_pool2d", MaxPool2d(square(Axis(2, 2))), b.input("image", (1, 8, 36, 3)))
    y = b.conv2d(x, 3, square(SAME_3))
    return b.graph(b.conv2d(b.node("add", Add(), x, y), 2))


STRIPED = {"wide": wide, "wide_sum": wide_sum}


@pytest.mark.parametrize("mode", ["resident", "pull", "overwrite"])
@pytest.mark.parametrize("name", STRIPED)
def test_no_plan_in_strips_is_better(name: str, mode: InputMode) -> None:
    with (
        mock.patch("edgekit.converters.schedule.pair_options.BLOCKS", (4,)),
        mock.patch("edgekit.converters.schedule.strips.STRIPS", (2, 3)),
        mock.patch("support.every_plan.STRIPS", (2, 3)),
    ):
        placing = Placing(STRIPED[name](), mode)
        check_search(placing, strips=True)
        if mode != "overwrite":
            goal = Goal(by_macs=True, extra_macs=10**9)
            least = search(placing.facts, goal)[0].plan
            assert any(segment.primitive == "H" for segment in least.segments)


@pytest.mark.parametrize("mode", ["resident", "stream"])
@pytest.mark.parametrize("name", ["two_bottlenecks", "shortcut"])
def test_no_plan_with_a_streamed_output_is_better(name: str, mode: InputMode) -> None:
    with mock.patch("edgekit.converters.schedule.pair_options.BLOCKS", (4, 16)):
        check_search(Placing(GRAPHS[name](), mode, "stream"))


@settings(max_examples=60, derandomize=True, suppress_health_check=list(HealthCheck))
@given(mode=st.sampled_from(["resident", "pull", "overwrite"]), model=graph_specs())
def test_no_plan_of_a_random_model_is_better(mode: InputMode, model: GraphSpec) -> None:
    """But for several outputs: where they advance together, rings are longer than the model's."""
    graph = build_graph(model)
    assume(2 <= len(graph.nodes) <= 6 and len(graph.outputs) == 1)
    with mock.patch.multiple("edgekit.converters.schedule.pair_options", BLOCKS=(8,), COLUMNS=(2,)):
        placing = Placing(graph, mode)
    assume(2 <= len(placing.facts.items) <= 5 and len(placing.facts.pairs) <= 3)
    check_search(placing)
