# SPDX-License-Identifier: Apache-2.0
"""Random models under random plans: the generated C computes the reference in the claimed bytes."""

from __future__ import annotations

import functools
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from support.claimed import solid_bytes
from support.planned import MODES
from support.quick_host import in_a_child, quick_builds
from support.random_graphs import GraphSpec, build_graph, graph_specs
from support.random_plans import PlanSpec, build_plan, plan_specs

from edgekit.converters.allocate import allocate
from edgekit.converters.choose import choose
from edgekit.converters.lowering.lower import lower
from edgekit.emit.sources import EmitOptions, emit
from edgekit.inputs import seeded_samples
from edgekit.interpret import interpret
from edgekit.manifest import load_manifest
from edgekit.program import Image, InputMode
from edgekit.runners.host import run_host
from edgekit.target import load_target

load_target = functools.cache(load_target)
OPS = (
    "add",
    "average_pool2d",
    "concat",
    "conv2d",
    "depthwise_conv2d",
    "fully_connected",
    "max_pool2d",
    "mean",
    "mul",
    "pad",
    "requantize",
    "resize_nearest",
    "slice",
    "transpose",
    "transposed_conv2d",
)


WINDOWS_ABOVE_THE_MAP = GraphSpec(
    shape=(5, 3, 2),
    layers=(("expansion", 0, (4, ((2, 1, 1, 3, 3), (1, 1, 1, 0, 0)))),),
    head="map",
    also_returned=(),
    seed=0,
)
"""More padding than the kernel is high: the first windows of the pair see no row at all."""
NO_INPUT_IS_NEEDED = GraphSpec(
    shape=(2, 3, 1),
    layers=(
        ("point", 0, (2,)),
        ("conv", 0, (1, ((1, 1, 1, 1, 0), (1, 1, 1, 0, 0)))),
        ("crop", 0, (0, 1)),
    ),
    head="map",
    also_returned=(),
    seed=0,
)
"""The only row of the output is computed from padding: the layers in front never fire."""

NO_ROW_BETWEEN_IS_NEEDED = GraphSpec(
    shape=(1, 1, 1),
    layers=(
        ("conv", 0, (1, ((3, 1, 1, 1, 1), (3, 1, 1, 1, 1)))),
        ("expansion", 0, (1, ((1, 2, 1, 1, 0), (3, 1, 1, 1, 1)))),
    ),
    head="map",
    also_returned=(),
    seed=0,
)
"""The only window of a pair sees nothing but padding."""


def write_model(image: Image, target: str, folder: Path) -> None:
    files = emit(image, EmitOptions("model", load_target(target), "0", 0), {}).files
    for name in ("model.c", "model.h", "manifest.json"):
        (folder / name).write_bytes(files[name])


@pytest.mark.parametrize("target", ["host", "cortex-m4"])
@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(model=graph_specs(), schedule=plan_specs())
@example(model=WINDOWS_ABOVE_THE_MAP, schedule=PlanSpec((), (("F", 1),), (), ()))
@example(model=NO_INPUT_IS_NEEDED, schedule=PlanSpec((), (), (), ()))
@example(model=NO_ROW_BETWEEN_IS_NEEDED, schedule=PlanSpec((), (("F", 1),), (), ()))
@example(model=NO_ROW_BETWEEN_IS_NEEDED, schedule=PlanSpec((), (("-", 1), ("D", 1)), (), ()))
def test_random_model_under_a_random_plan(
    mode: InputMode, target: str, tmp_path: Path, model: GraphSpec, schedule: PlanSpec
) -> None:
    graph = build_graph(model)
    choices = choose(graph, load_target(target))
    program = lower(build_plan(schedule, graph, choices, mode), choices)
    with mock.patch.multiple("edgekit.converters.allocate", WHEEL_ROUNDS=10, NODE_LIMIT=50):
        image = allocate(program)
    assert image.arena_bytes >= image.arena_lower_bound_bytes
    write_model(image, target, tmp_path)
    samples = seeded_samples(load_manifest(tmp_path).inputs, 4, seed=model.seed)[-2:]
    with quick_builds(OPS):
        result = in_a_child(lambda: run_host(tmp_path, samples, paint=True))
    for sample, outputs in zip(samples, result.outputs, strict=True):
        values = interpret(graph, sample, outputs_only=True)
        for port, output in zip(graph.outputs, outputs, strict=True):
            assert np.array_equal(output, values[port.tensor]), port.name
    assert solid_bytes(image) <= result.arena_touched_bytes <= image.arena_bytes
