# SPDX-License-Identifier: Apache-2.0
"""--schedule patch and stream: what each may do, what it refuses, and that patch finds its best."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from support.graphs import HALF_3, SAME_3, GraphBuilder, square
from support.quick_host import in_a_child, quick_builds

from edgekit.converters.allocate import allocate
from edgekit.converters.choose import choose
from edgekit.converters.lowering.lower import lower
from edgekit.converters.lowering.storage import Storage
from edgekit.converters.lowering.tiles import tiles_of
from edgekit.converters.plan_model import Budget, Planned, plan_model
from edgekit.converters.schedule.plan import Plan, PlannedSegment
from edgekit.emit.sources import EmitOptions, emit
from edgekit.errors import BadInputError, DoesNotFitError
from edgekit.inputs import seeded_samples
from edgekit.interpret import interpret
from edgekit.ir import QGraph
from edgekit.manifest import load_manifest
from edgekit.ops import operator_of
from edgekit.ops._blocks import Blocks
from edgekit.ops.add import Add
from edgekit.ops.lookup import Lookup
from edgekit.ops.mean import Mean
from edgekit.pipeline import ConvertOptions, IntegerModel, convert_model
from edgekit.program import InputMode
from edgekit.runners.host import run_host
from edgekit.target import load_target

GRIDS = (2, 3, 5)
"""Patches along each side that are tried; every one of them is placed here as well."""
OPS = ("add", "conv2d", "depthwise_conv2d", "mean")
TARGET = functools.cache(load_target)


@pytest.fixture(autouse=True)
def _few_grids() -> Iterator[None]:
    with mock.patch("edgekit.converters.schedule.patches.GRIDS", GRIDS):
        yield


@functools.cache
def network() -> QGraph:
    """Large maps in front, small ones behind."""
    b = GraphBuilder("network", seed=12)
    x = b.conv2d(b.input("image", (1, 30, 34, 3)), 8, square(HALF_3))
    y = b.conv2d(b.depthwise(x, square(SAME_3)), 8)
    x = b.node("add", Add(), x, y)
    x = b.conv2d(b.depthwise(b.conv2d(x, 16), square(HALF_3)), 8)
    x = b.conv2d(b.depthwise(b.conv2d(x, 16), square(HALF_3)), 8)
    return b.graph(b.node("mean", Mean((1, 2), True), x))


def planned(
    schedule: str, mode: InputMode = "pull", max_extra_macs: float | None = None
) -> Planned:
    budget = Budget(schedule, mode, max_extra_macs=max_extra_macs)  # type: ignore[arg-type]
    return plan_model(network(), TARGET("cortex-m4"), budget)


def primitives(plan: Planned) -> list[str]:
    return [segment.primitive for segment in plan.image.program.segments]


def extra_percent(plan: Planned) -> float:
    macs = sum(operator_of(call.node).macs(call) for call in network().calls())
    return plan.image.program.macs_executed / macs * 100 - 100


def every_patch_plan(mode: InputMode) -> list[tuple[int, int]]:
    """Arena bytes and MACs of every stage and grid, placed."""
    graph = network()
    choices = choose(graph, TARGET("cortex-m4"))
    storage = Storage(graph, choices, arena_input=mode != "resident")
    arriving = [graph.inputs[0].tensor] if mode == "pull" else []
    names = [node.name for node in graph.nodes]
    found = []
    for end in range(1, len(names) + 1):
        for grid in GRIDS:
            stage = PlannedSegment("B", tuple(names[:end]), parts=grid)
            if tiles_of(stage, storage, choices, arriving=arriving) is None:
                continue
            rest = (PlannedSegment("L", (name,)) for name in names[end:])
            program = lower(Plan(graph, (stage, *rest), mode).verify(), choices)
            found.append((allocate(program).arena_bytes, program.macs_executed))
    return found


@pytest.mark.parametrize("mode", ["pull", "resident"])
def test_no_other_patches_need_less(mode: InputMode) -> None:
    every = every_patch_plan(mode)
    assert len(every) > 15
    plan = planned("patch", mode)
    assert primitives(plan)[0] == "B"
    assert plan.image.arena_bytes == min(size for size, _ in every)


def test_patches_within_a_bound_of_macs() -> None:
    macs = sum(operator_of(call.node).macs(call) for call in network().calls())
    every = every_patch_plan("pull")
    sizes = []
    for percent in (5.0, 60.0):
        plan = planned("patch", max_extra_macs=percent)
        allowed = [size for size, executed in every if executed <= macs * (1 + percent / 100)]
        layerwise = planned("layerwise").image.arena_bytes
        assert extra_percent(plan) <= percent
        assert plan.image.arena_bytes == min([layerwise, *allowed])
        sizes.append(plan.image.arena_bytes)
    assert sizes == sorted(set(sizes), reverse=True)


def test_stream_has_no_strips_and_auto_needs_no_more() -> None:
    plans = {name: planned(name, max_extra_macs=30) for name in ("stream", "auto")}
    assert not {"H", "B"} & set(primitives(plans["stream"]))
    assert "H" in primitives(plans["auto"])
    assert plans["auto"].ram_bytes < plans["stream"].ram_bytes
    for plan in plans.values():
        assert 0 < extra_percent(plan) <= 30


@pytest.mark.parametrize("budget", [Budget("patch", "stream"), Budget("patch", "pull", "stream")])
def test_patches_with_rows_in_order_are_refused(budget: Budget) -> None:
    with pytest.raises(BadInputError, match=r"--schedule patch: .*use --input resident, pull"):
        plan_model(network(), TARGET("cortex-m4"), budget)


@pytest.mark.parametrize("schedule", ["patch", "stream", "layerwise"])
def test_what_does_not_fit_names_the_search(schedule: str) -> None:
    model = IntegerModel(network(), (), None, {}, 0)
    budget = Budget(schedule, "pull", max_ram_bytes=700)  # type: ignore[arg-type]
    with pytest.raises(
        DoesNotFitError, match="but 700 are allowed; --schedule auto --input pull needs"
    ):
        convert_model(model, ConvertOptions(TARGET("cortex-m4"), budget=budget))


@pytest.mark.parametrize(("schedule", "percent"), [("patch", None), ("stream", 20), ("auto", 30)])
def test_they_run(schedule: str, percent: float | None, tmp_path: Path) -> None:
    """Values and painted bytes on this machine."""
    image = planned(schedule, max_extra_macs=percent).image
    files = emit(image, EmitOptions("model", TARGET("cortex-m4"), "0", 0), {}).files
    for name in ("model.c", "model.h", "manifest.json"):
        (tmp_path / name).write_bytes(files[name])
    samples = seeded_samples(load_manifest(tmp_path).inputs, 3, seed=3)
    with quick_builds(OPS):
        result = in_a_child(lambda: run_host(tmp_path, samples, paint=True))
    for sample, outputs in zip(samples, result.outputs, strict=True):
        values = interpret(network(), sample, outputs_only=True)
        assert np.array_equal(outputs[0], values[network().outputs[0].tensor])
    assert result.arena_touched_bytes == image.arena_bytes


@functools.cache
def super_resolution() -> IntegerModel:
    """Its least plan is one of those that placement brings below others the search puts below it."""
    b = GraphBuilder("super_resolution", seed=3)
    wide = square(dataclasses.replace(SAME_3, kernel=5, pad_before=2, pad_after=2))
    x = b.conv2d(b.input("image", (1, 40, 56, 1)), 16, wide)
    x = b.conv2d(b.node("lookup", Lookup("tanh"), x), 12, square(SAME_3))
    x = b.conv2d(b.node("lookup", Lookup("tanh"), x), 9, square(SAME_3))
    graph = b.graph(b.node("depth_to_space", Blocks(3, "block_major"), x))
    return IntegerModel(graph, (), None, {}, 1)


@pytest.mark.parametrize(
    ("kernels", "mode"), [("auto", "resident"), ("auto", "stream"), ("reference", "pull")]
)
def test_the_least_ram_that_a_refusal_names_is_enough(kernels: str, mode: InputMode) -> None:
    def needed(max_ram_bytes: int) -> int:
        budget = Budget(input_mode=mode, max_ram_bytes=max_ram_bytes)
        options = ConvertOptions(TARGET("cortex-m7"), kernels=kernels, budget=budget)
        return convert_model(super_resolution(), options).manifest.ram_bytes

    with pytest.raises(DoesNotFitError) as caught:
        needed(1000)
    (line,) = caught.value.lines
    least = int(line.split(f"--input {mode} needs at least ")[1].split()[0])
    assert needed(least) == least
    with pytest.raises(DoesNotFitError):
        needed(least - 1)
