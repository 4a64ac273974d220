# SPDX-License-Identifier: Apache-2.0
"""Layers in front of long skips that are computed a second time where a budget allows it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from support.graphs import HALF_3, SAME_3, GraphBuilder, square

from edgekit.artifact import Artifact
from edgekit.converters.plan_model import Budget
from edgekit.converters.schedule.again import computed_again, with_skips_again
from edgekit.converters.schedule.plan import Plan, PlannedSegment
from edgekit.converters.schedule.plan_file import plan_content
from edgekit.inputs import seeded_samples
from edgekit.interpret import interpret
from edgekit.ir import QGraph
from edgekit.ops import operator_of
from edgekit.ops.add import Add
from edgekit.ops.resize_nearest import ResizeNearest
from edgekit.pipeline import ConvertOptions, IntegerModel, convert_model
from edgekit.program import InputMode
from edgekit.runners.host import run_host
from edgekit.target import load_target
from edgekit.validate import ValidateOptions, validate

BY_ROWS: tuple[InputMode, ...] = ("stream", "pull")


def two_levels(*, channels: int = 12) -> QGraph:
    """A skip over a long lower level, and what comes in front of it is cheap."""
    b = GraphBuilder("two_levels", seed=4)
    x = b.input("image", (1, 32, 16, 2))
    skip = b.conv2d(x, channels, square(SAME_3))
    y = b.conv2d(skip, 16, square(HALF_3))
    for _ in range(7):
        y = b.conv2d(y, 16, square(SAME_3))
    twice = ResizeNearest(*(tuple(i // 2 for i in range(size)) for size in (32, 16)))
    y = b.node("resize_nearest", twice, b.conv2d(y, channels))
    return b.graph(b.conv2d(b.node("add", Add(), skip, y), 3))


def macs_of(graph: QGraph) -> int:
    return sum(operator_of(call.node).macs(call) for call in graph.calls())


def converted(graph: QGraph, mode: InputMode, percent: float) -> Artifact:
    return placed(graph, Budget(input_mode=mode, max_extra_macs=percent))


def placed(graph: QGraph, budget: Budget) -> Artifact:
    random = np.random.default_rng(0)
    shape = graph.tensors[graph.inputs[0].tensor].shape
    samples = tuple((random.integers(-128, 128, shape).astype(np.int8),) for _ in range(2))
    model = IntegerModel(graph, samples, None, {}, macs_of(graph))
    options = ConvertOptions(load_target("cortex-m4"), budget=budget)
    return Artifact(convert_model(model, options))


def test_the_model_stays_the_same() -> None:
    graph = two_levels()
    (again,) = computed_again(graph, "stream", max_macs=None)
    assert again.macs == macs_of(again.graph) - macs_of(graph) > 0
    assert len(again.graph.nodes) == len(graph.nodes) + 1
    sample = (np.random.default_rng(1).integers(-128, 128, (1, 32, 16, 2)).astype(np.int8),)
    mine, wanted = interpret(again.graph, sample), interpret(graph, sample)
    for port in graph.outputs:
        assert np.array_equal(mine[port.tensor], wanted[port.tensor])


def test_no_more_than_is_allowed() -> None:
    graph = two_levels()
    (again,) = computed_again(graph, "stream", max_macs=None)
    assert list(computed_again(graph, "stream", max_macs=again.macs - 1)) == []
    assert len(list(computed_again(graph, "stream", max_macs=again.macs))) == 1


def test_a_shorter_way_back_where_the_best_one_takes_too_much() -> None:
    """Pulled, the input costs no bytes and is the best source; the map in front of it is next."""
    b = GraphBuilder("two_ways", seed=4)
    x = b.conv2d(b.input("image", (1, 32, 16, 2)), 4, square(SAME_3))
    skip = b.conv2d(x, 12)
    y = b.conv2d(skip, 4, square(SAME_3))
    for _ in range(8):
        y = b.conv2d(y, 4, square(SAME_3))
    graph = b.graph(b.node("add", Add(), skip, b.conv2d(y, 12)))
    (best,) = computed_again(graph, "pull", max_macs=None)
    (shorter,) = computed_again(graph, "pull", max_macs=best.macs - 1)
    assert best.repeats.skips == ((skip, "image"),)
    assert shorter.repeats.skips == ((skip, x),)
    for again in (best, shorter):
        assert with_skips_again(graph, "pull", again.repeats.skips).macs == again.macs
    assert list(computed_again(graph, "pull", max_macs=shorter.macs - 1)) == []


def test_a_map_that_is_no_smaller_in_front_is_not_worth_it() -> None:
    graph = two_levels(channels=2)
    assert list(computed_again(graph, "stream", max_macs=None)) == []
    assert len(list(computed_again(graph, "resident", max_macs=None))) == 1


@pytest.mark.parametrize("mode", ["stream", "pull", "overwrite"])
def test_less_ram_and_the_same_outputs(mode: InputMode, tmp_path: Path) -> None:
    graph = two_levels()
    plain, again = (converted(graph, mode, percent) for percent in (0, 20))
    assert again.manifest.arena_bytes < 0.8 * plain.manifest.arena_bytes
    assert again.manifest.macs_legalized == plain.manifest.macs_legalized == macs_of(graph)
    extra = again.manifest.macs_executed / again.manifest.macs_legalized
    assert 1 < extra <= 1.2
    assert plain.manifest.macs_executed == plain.manifest.macs_legalized
    folder = again.save(tmp_path / "model")
    report = validate(folder, ValidateOptions(on=("host",), samples=3, per_layer=True))
    assert report.assert_ok().first_difference is None
    samples = seeded_samples(again.manifest.inputs, 2, seed=0)
    touched = run_host(folder, samples, paint=True).arena_touched_bytes
    assert touched == again.manifest.arena_bytes


def test_a_pulled_input_is_read_twice() -> None:
    """So none of its rows waits for the second reader."""
    (again,) = computed_again(two_levels(), "pull", max_macs=None)
    assert again.repeats.pulled == ("image/again_0",)
    stream, pull = (converted(two_levels(), mode, 20).manifest for mode in BY_ROWS)
    assert pull.arena_bytes < stream.arena_bytes


@pytest.mark.parametrize("primitive", ["H", "B"])
def test_the_second_reading_may_come_in_parts(primitive: Literal["H", "B"], tmp_path: Path) -> None:
    """Each strip or patch of the layers that run again reads its own window of the input."""
    (again,) = computed_again(two_levels(), "pull", max_macs=None)
    names = [node.name for node in again.graph.nodes]
    begin = names.index("image/again_0")
    segments = [PlannedSegment("L", (name,)) for name in names[:begin]]
    segments.append(PlannedSegment(primitive, tuple(names[begin:]), parts=3))
    plan = Plan(again.graph, tuple(segments), "pull", repeats=again.repeats)
    artifact = placed(two_levels(), Budget(input_mode="pull", plan=plan_content(plan)))
    folder = artifact.save(tmp_path / "model")
    assert validate(folder, ValidateOptions(on=("host",), samples=3)).assert_ok()
    samples = seeded_samples(artifact.manifest.inputs, 2, seed=0)
    touched = run_host(folder, samples, paint=True).arena_touched_bytes
    assert touched == artifact.manifest.arena_bytes
