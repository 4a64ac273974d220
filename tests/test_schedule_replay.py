# SPDX-License-Identifier: Apache-2.0
"""Programs on the byte arena of support/replay.py: their values, and whose bytes they read."""

from __future__ import annotations

import dataclasses
import functools
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.claimed import solid_bytes
from support.graphs import GRAPHS
from support.planned import MODES
from support.random_graphs import GraphSpec, build_graph, graph_specs
from support.random_plans import PlanSpec, build_plan, plan_specs
from support.replay import ReplayError, replay

from edgekit.converters.allocate import allocate
from edgekit.converters.choose import choose
from edgekit.converters.lowering.lower import lower
from edgekit.converters.schedule.plan import Plan, PlannedPair, PlannedSegment
from edgekit.interpret import interpret
from edgekit.ir import Array, QGraph
from edgekit.program import Image, InputMode, Operand, Overlap, Program
from edgekit.target import load_target

TARGET = functools.cache(load_target)


def sample_of(graph: QGraph) -> list[Array]:
    random = np.random.default_rng(0)
    return [
        random.integers(-128, 128, graph.tensors[port.tensor].shape).astype(np.int8)
        for port in graph.inputs
    ]


def check(image: Image) -> None:
    """The outputs of the reference, from no more than the claimed bytes."""
    graph = image.program.graph
    sample = sample_of(graph)
    result = replay(image, sample)
    values = interpret(graph, sample)
    for port, output in zip(graph.outputs, result.outputs, strict=True):
        assert np.array_equal(output, values[port.tensor]), port.name
    assert solid_bytes(image) <= result.touched_bytes <= image.arena_bytes


@pytest.mark.parametrize("target", ["host", "cortex-m4"])
@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=40)
@given(model=graph_specs(), schedule=plan_specs())
def test_random_model_under_a_random_plan(
    mode: InputMode, target: str, model: GraphSpec, schedule: PlanSpec
) -> None:
    graph = build_graph(model)
    choices = choose(graph, TARGET(target))
    program = lower(build_plan(schedule, graph, choices, mode), choices)
    with mock.patch.multiple("edgekit.converters.allocate", WHEEL_ROUNDS=10, NODE_LIMIT=50):
        check(allocate(program))


def apart(program: Program, overlap: Overlap, distance: int, *, bottom_up: bool = False) -> Image:
    """Output and input this far from each other, and everything else far away."""
    sizes = {buffer.name: buffer.bytes for buffer in program.buffers}
    low = max(0, -distance)
    offsets = {overlap.output: low, overlap.input: low + distance}
    end = max(low + sizes[overlap.output], low + distance + sizes[overlap.input])
    for name, size in sizes.items():
        if name not in offsets:
            offsets[name] = end
            end += size
    steps = {n for n, step in enumerate(program.steps) if step.output.buffer == overlap.output}
    return Image(program, offsets, end, 0, frozenset(steps if bottom_up else ()))


def is_refused(image: Image) -> bool:
    try:
        replay(image, sample_of(image.program.graph))
    except ReplayError:
        return True
    return False


@settings(max_examples=100)
@given(mode=st.sampled_from(MODES), model=graph_specs(), schedule=plan_specs())
def test_overlaps_are_safe(mode: InputMode, model: GraphSpec, schedule: PlanSpec) -> None:
    graph = build_graph(model)
    choices = choose(graph, TARGET("cortex-m4"))
    program = lower(build_plan(schedule, graph, choices, mode), choices)
    for overlap in program.overlaps:
        for bottom_up in (False, True):
            distance = overlap.distance
            if bottom_up:
                if overlap.distance_bottom_up is None:
                    continue
                distance = -overlap.distance_bottom_up
            step = -1 if bottom_up else 1
            for more in range(3):
                image = apart(program, overlap, distance + step * more, bottom_up=bottom_up)
                assert not is_refused(image), (overlap, bottom_up, more)


def flowing(name: str = "residual", *pairs: PlannedPair) -> Image:
    graph = GRAPHS[name]()
    choices = choose(graph, TARGET("cortex-m4"))
    nodes = tuple(node.name for node in graph.nodes)
    plan = Plan(graph, (PlannedSegment("C", nodes, pairs),), "stream").verify()
    return allocate(lower(plan, choices))


PAIR = PlannedPair("F", "conv2d_1", "depthwise_conv2d_2", 16)


@pytest.mark.parametrize("primitive", ["F", "R", "E"])
def test_pair(primitive: str) -> None:
    check(flowing("residual", dataclasses.replace(PAIR, primitive=primitive)))  # type: ignore[arg-type]


def test_ring_with_a_row_less_is_noticed() -> None:
    image = flowing()
    rings = {
        o.buffer
        for step in image.program.steps
        for o in step.operands
        if o.place == "arena" and 1 < o.ring_rows < image.program.graph.tensors[o.tensor].shape[1]
    }
    assert len(rings) >= 2
    for ring in rings:

        def smaller(operand: Operand, ring: str = ring) -> Operand:
            less = operand.buffer == ring
            return dataclasses.replace(operand, ring_rows=operand.ring_rows - less)

        steps = tuple(
            dataclasses.replace(
                step,
                operands=tuple(smaller(o) for o in step.operands),
                output=smaller(step.output),
            )
            for step in image.program.steps
        )
        broken = dataclasses.replace(image, program=dataclasses.replace(image.program, steps=steps))
        with pytest.raises(ReplayError, match="is not there"):
            replay(broken, sample_of(image.program.graph))


@pytest.mark.parametrize(
    ("member", "more"), [("kept_rows", -1), ("tile_rows", -1), ("first_rows", 1)]
)
def test_pair_of_other_rows_is_noticed(member: str, more: int) -> None:
    image = flowing("residual", PAIR)
    (pair,) = image.program.pairs
    other = dataclasses.replace(pair, **{member: getattr(pair, member) + more})
    program = dataclasses.replace(image.program, pairs=(other,))
    with pytest.raises(ReplayError):
        replay(dataclasses.replace(image, program=program), sample_of(program.graph))


def test_buffers_that_share_bytes_are_noticed() -> None:
    """Every buffer in turn goes where another one lies that is alive beside it."""
    image = flowing("chain_0")
    for buffer in image.program.buffers:
        others = [b for b in image.program.buffers if b != buffer and b.alive_with(buffer)]
        for other in others[:2]:
            if image._may_share(buffer, other) or buffer.name == "cursor" or other.name == "cursor":
                continue
            offsets = {**image.offsets, buffer.name: image.offsets[other.name]}
            size = max(offsets[b.name] + b.bytes for b in image.program.buffers)
            broken = dataclasses.replace(image, offsets=offsets, arena_bytes=size)
            with pytest.raises(ReplayError):
                replay(broken, sample_of(image.program.graph))
