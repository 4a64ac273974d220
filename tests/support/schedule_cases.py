# SPDX-License-Identifier: Apache-2.0
"""One random model under one random plan: the generated C computes the reference in the claimed bytes."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np

from edgekit.converters.allocate import allocate
from edgekit.converters.choose import choose
from edgekit.converters.lowering.lower import lower
from edgekit.converters.schedule.plan import Plan
from edgekit.emit.sources import EmitOptions, emit
from edgekit.inputs import seeded_samples
from edgekit.interpret import interpret
from edgekit.ir import Array, QGraph
from edgekit.manifest import load_manifest
from edgekit.program import Image, InputMode
from edgekit.runners.host import run_host
from edgekit.runners.qemu import run_qemu
from edgekit.target import load_target
from support.claimed import solid_bytes
from support.quick_host import in_a_child, quick_builds
from support.random_graphs import GraphSpec, build_graph
from support.random_plans import PlanSpec, build_plan

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


@dataclass(frozen=True)
class ScheduleCase:
    """A model and a plan for it, how its input comes, and the target whose kernels it takes."""

    model: GraphSpec
    schedule: PlanSpec
    input_mode: InputMode
    target: str


@dataclass(frozen=True)
class Planned:
    """A case converted: its graph, its plan, and the placed program."""

    case: ScheduleCase
    graph: QGraph
    plan: Plan
    image: Image

    @property
    def primitives(self) -> tuple[str, ...]:
        """Of every segment and every pair."""
        pairs = (pair.primitive for segment in self.plan.segments for pair in segment.pairs)
        return (*(segment.primitive for segment in self.plan.segments), *pairs)


def planned(case: ScheduleCase) -> Planned:
    """Choose kernels, lower and place."""
    graph = build_graph(case.model)
    choices = choose(graph, load_target(case.target))
    plan = build_plan(case.schedule, graph, choices, case.input_mode)
    program = lower(plan, choices)
    with mock.patch.multiple("edgekit.converters.allocate", WHEEL_ROUNDS=10, NODE_LIMIT=50):
        image = allocate(program)
    assert image.arena_bytes >= image.arena_lower_bound_bytes
    return Planned(case, graph, plan, image)


def check_on_host(subject: Planned, folder: Path) -> None:
    """Portable C, on two differently filled arenas; and the arena's claimed bytes are touched."""
    samples = _written(subject, folder, ("model.c", "model.h", "manifest.json"))
    with quick_builds(OPS):
        result = in_a_child(lambda: run_host(folder, samples, paint=True))
    _check_outputs(subject.graph, samples, result.outputs)
    _check_arena(subject.image, result.arena_touched_bytes)


def check_on_core(subject: Planned, folder: Path) -> None:
    """The same on the emulated core of its target, with the code that the core gets."""
    samples = _written(subject, folder, None)
    result = run_qemu(folder, samples, load_target(subject.case.target), paint=True)
    _check_outputs(subject.graph, samples, result.outputs)
    _check_arena(subject.image, result.arena_touched_bytes)
    assert result.stack_used_bytes <= load_manifest(folder).stack_bytes


def _written(
    subject: Planned, folder: Path, names: Sequence[str] | None
) -> list[tuple[Array, ...]]:
    """Write these files of the project, or all of them; inputs for it."""
    options = EmitOptions("model", load_target(subject.case.target), "0", 0)
    files = emit(subject.image, options, {}).files
    for name in files if names is None else names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[name])
    inputs = load_manifest(folder).inputs
    return list(seeded_samples(inputs, 4, seed=subject.case.model.seed))[-2:]


def _check_outputs(
    graph: QGraph, samples: Sequence[Sequence[Array]], results: Sequence[Sequence[Array]]
) -> None:
    for sample, outputs in zip(samples, results, strict=True):
        values = interpret(graph, sample, outputs_only=True)
        for port, output in zip(graph.outputs, outputs, strict=True):
            assert np.array_equal(output, values[port.tensor]), port.name


def _check_arena(image: Image, touched_bytes: int) -> None:
    assert solid_bytes(image) <= touched_bytes <= image.arena_bytes
