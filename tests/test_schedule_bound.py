# SPDX-License-Identifier: Apache-2.0
"""The bound of the search drops flows, and never a plan."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.graphs import HALF_3, SAME_3, GraphBuilder, square
from support.random_graphs import GraphSpec, build_graph, graph_specs

from edgekit.converters.choose import choose
from edgekit.converters.schedule.bound import Bound
from edgekit.converters.schedule.facts import Facts
from edgekit.converters.schedule.flows import Flows, Goal
from edgekit.converters.schedule.gather import gather_facts
from edgekit.converters.schedule.search import search
from edgekit.ir import Array, QGraph
from edgekit.ops.add import Add
from edgekit.program import InputMode
from edgekit.target import load_target

GOALS = (Goal(), Goal(extra_macs=None), Goal(by_macs=True, extra_macs=None))


def facts_of(graph: QGraph, mode: InputMode) -> Facts:
    return gather_facts(graph, choose(graph, load_target("cortex-m4")), mode, compact=True)


def found(facts: Facts, goal: Goal) -> list[Any]:
    return [(c.arena_bytes, c.instructions, c.macs, c.plan.segments) for c in search(facts, goal)]


def check(facts: Facts) -> None:
    macs = sum(item.macs for item in facts.items)
    for goal in (*GOALS, Goal(extra_macs=macs // 8), Goal(by_macs=True, extra_macs=macs // 8)):
        with mock.patch.object(Bound, "may_be_better", _everything):
            expected = found(facts, goal)
        assert found(facts, goal) == expected, goal


def _everything(self: Bound, flows: Flows) -> Array:
    return np.ones(len(flows), np.bool_)


def deep(size: int = 24) -> QGraph:
    """Five bottlenecks, two of them with a residual."""
    b = GraphBuilder("deep", seed=7)
    x = b.conv2d(b.input("image", (1, size, size, 3)), 8, square(HALF_3))
    for stride, channels in ((HALF_3, 8), (SAME_3, 8), (HALF_3, 12), (SAME_3, 12), (HALF_3, 16)):
        y = b.conv2d(b.depthwise(b.conv2d(x, 4 * channels), square(stride)), channels)
        x = b.node("add", Add(), x, y) if stride is SAME_3 else y
    return b.graph(x)


@pytest.mark.parametrize("mode", ["stream", "pull"])
def test_a_deep_model_has_the_same_plans(mode: InputMode) -> None:
    check(facts_of(deep(), mode))


def test_few_flows_of_a_deep_model_remain() -> None:
    facts, goal = facts_of(deep(), "stream"), Goal(extra_macs=None)
    seen = dropped = 0
    ask = Bound.may_be_better

    def counting(self: Bound, flows: Flows) -> Array:
        nonlocal seen, dropped
        useful = ask(self, flows)
        seen, dropped = seen + len(flows), dropped + int((~useful).sum())
        return useful

    with mock.patch.object(Bound, "may_be_better", counting):
        search(facts, goal)
    assert dropped > seen / 3


@settings(max_examples=50, derandomize=True, suppress_health_check=list(HealthCheck))
@given(mode=st.sampled_from(["resident", "stream", "pull", "overwrite"]), model=graph_specs())
def test_a_random_model_has_the_same_plans(mode: InputMode, model: GraphSpec) -> None:
    check(facts_of(build_graph(model), mode))
