# SPDX-License-Identifier: Apache-2.0
"""What the search takes schedules to cost: near what they execute, and rows no cheaper than layers."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from support.graphs import HALF_3, SAME_3, GraphBuilder, square

from edgekit.converters.choose import choose
from edgekit.converters.schedule import costs as schedule_costs
from edgekit.converters.schedule.facts import Facts
from edgekit.converters.schedule.gather import gather_facts
from edgekit.ir import QGraph
from edgekit.ops.average_pool2d import AveragePool2d
from edgekit.target import load_target
from edgekit.window import Axis, Window

REPOSITORY = Path(__file__).resolve().parents[1]
CORES = ("cortex-m4", "cortex-m55", "cortex-m3")
RequireProgram = Callable[[str], str]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    return importlib.import_module("schedule_costs")


def separable() -> QGraph:
    """Rows of 5 pixels, as of a spectrogram, and a pool of the whole map, which may take its rows."""
    b = GraphBuilder("separable")
    window = Window(Axis(10, 2, 1, 4, 5), Axis(4, 2, 1, 1, 1))
    x = b.conv2d(b.input("x", (1, 24, 10, 1)), 32, window)
    for channels in (32, 48):
        x = b.conv2d(b.depthwise(x, square(SAME_3)), channels)
    x = b.depthwise(x, square(HALF_3))
    _, height, width, _ = b.shape(x)
    x = b.node("average_pool2d", AveragePool2d(Window(Axis(height), Axis(width))), x)
    return b.graph(b.fully_connected(x, 10))


def _facts(core: str) -> Facts:
    graph = separable()
    return gather_facts(graph, choose(graph, load_target(core)), "stream")


@pytest.mark.parametrize("core", CORES)
def test_schedules_execute_about_what_the_search_takes_them_to(
    core: str, benchmark: ModuleType, require_program: RequireProgram
) -> None:
    require_program("qemu-system-arm")
    require_program("arm-none-eabi-gcc")
    found = list(benchmark.schedules(separable(), load_target(core), "stream", 4))
    ways = set()
    for schedule in found:
        print(schedule.total, *schedule.parts, sep="\n    ")
        assert 0.92 <= schedule.total.ratio <= 1.08, schedule.total
        for part in schedule.parts:
            ways.add(part.name.split(": ")[1][0])
            assert 0.8 <= part.ratio <= 1.25 or part.counted < 3000, str(part)
    assert {"C", "F"} <= ways


@pytest.mark.parametrize("core", CORES)
def test_rows_are_never_cheaper_than_their_layer(core: str) -> None:
    facts = _facts(core)
    taken = [item for item in facts.items if item.step.kernel and not item.accumulates]
    assert len(taken) >= 5
    for item in taken:
        assert item.cost >= item.whole_cost * (1 - 1e-9), item.name
    for index, options in facts.pairs.items():
        both = facts.items[index].whole_cost + facts.items[index + 1].whole_cost
        for option in options:
            assert option.cost >= 0.9 * both, option.planned  # fewer calls, of both layers


def test_a_kernel_that_accumulates_costs_its_whole_layer_once() -> None:
    """Not once for each of the rows that it takes."""
    facts = _facts("cortex-m4")
    (item,) = (item for item in facts.items if item.accumulates)
    step, rows = item.step, item.step.loop.output_height if item.step.loop else 0
    call = next(c for c in facts.graph.calls() if c.node.name == item.name)
    assert step.kernel is not None and rows == call.inputs[0].shape[1] > 1
    whole = choose(facts.graph, load_target("cortex-m4"))[item.name].costs
    a_row = schedule_costs.ROW_CALL + schedule_costs.FLOWING_ROW
    expected = whole.instructions(step.kernel, call) + a_row * rows
    assert item.cost == pytest.approx(expected)


def test_each_block_of_channels_or_columns_costs_more() -> None:
    """The fewer at a time, the more calls, and the more often the same is gathered."""
    facts = _facts("cortex-m4")
    for options in facts.pairs.values():
        for primitive in {option.planned.primitive for option in options}:
            own = [option for option in options if option.planned.primitive == primitive]
            ordered = sorted(own, key=lambda option: option.planned.block)
            costs = [option.cost for option in ordered]
            assert costs == sorted(costs, reverse=True), [o.planned for o in ordered]


def test_narrow_rows_of_a_kernel_that_takes_groups_of_pixels_have_rests() -> None:
    """Of 5 columns and of 4, a kernel that takes 4 at a time takes as many groups in every row."""
    facts = _facts("cortex-m4")
    target = load_target("cortex-m4")
    choices = choose(facts.graph, target)
    call = next(c for c in facts.graph.calls() if c.node.op == "conv2d" and c.output.shape[2] == 5)
    item = next(item for item in facts.items if item.name == call.node.name)
    whole = dataclasses.replace(item.step, loop=None)
    costs = choices[item.name].costs
    assert schedule_costs.layer_cost(call, item.step, costs) > schedule_costs.layer_cost(
        call, whole, costs
    )
