# SPDX-License-Identifier: Apache-2.0
"""MCUNetV2's own schedule, for comparison: the first layers in a grid of patches, then layer by layer.

Lin et al., "MCUNetV2: Memory-Efficient Patch-based Inference for Tiny Deep Learning", 2021: a patch
runs through all layers of the first stage before the next one begins, and what neighbouring patches
share is computed for each of them. Where the stage ends and how fine the grid is are searched here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgekit.converters.lowering.tiles import spans
from edgekit.converters.schedule.chases import Chases
from edgekit.converters.schedule.costs import ROW_CALL
from edgekit.converters.schedule.facts import Facts
from edgekit.converters.schedule.flows import aligned
from edgekit.converters.schedule.narrow_layers import (
    NarrowLayer,
    PartSpans,
    is_inner,
    narrow_layers,
)
from edgekit.converters.schedule.plan import Plan, PlannedSegment
from edgekit.converters.schedule.search import Candidate
from edgekit.ir import DTYPE_BYTES
from edgekit.layout import NHWC, map_size
from edgekit.ops import operator_of

GRIDS = range(2, 9)
"""Patches along each side of the map at the end of the first stage."""


def search_patches(facts: Facts, *, extra_macs: int | None) -> list[Candidate]:
    """Every stage and grid that computes no more again than is allowed, least bytes first."""
    layers, chases = narrow_layers(facts), Chases(facts)
    behind = [0] * (len(layers) + 1)
    for index in reversed(range(len(layers))):
        item = facts.items[index]
        needed = chases.layer_bytes(index) + aligned(item.whole_scratch_bytes)
        behind[index] = max(behind[index + 1], needed)
    found = []
    for end in range(1, len(layers) + 1):
        last = layers[end - 1]
        if last is None or last.call is None:
            continue
        for grid in GRIDS:
            if grid <= min(last.height, last.width) and (stage := _stage(facts, layers, end, grid)):
                size = max(stage.bytes + chases.apart_bytes(0, end), behind[end])
                found.append(_candidate(facts, stage, size, end, grid))
    most = None if extra_macs is None else sum(item.macs for item in facts.items) + extra_macs
    allowed = [c for c in found if most is None or c.macs <= most]
    return sorted(allowed, key=lambda candidate: (candidate.arena_bytes, candidate.macs))


@dataclass(frozen=True)
class _Stage:
    """What a stage of patches needs: bytes inside of it, MACs, modelled instructions."""

    bytes: int
    macs: int
    cost: float


def _stage(facts: Facts, layers: list[NarrowLayer | None], end: int, grid: int) -> _Stage | None:
    """Items [0, end) patch by patch; None where one of them cannot."""
    last, output = layers[end - 1], facts.items[end - 1]
    if last is None or output.step.output.layout != NHWC:
        return None
    rows = PartSpans(output.unit.output, list(spans(last.height, grid)), "rows")
    columns = PartSpans(output.unit.output, list(spans(last.width, grid)), "columns")
    macs, cost = 0, 0.0
    for index in reversed(range(end)):
        layer, item = layers[index], facts.items[index]
        inner = index == end - 1 or is_inner(facts, index, end)
        name = item.unit.output
        if layer is None or not inner:
            return None
        if not (rows.take(layer, name) and columns.take(layer, name)):
            return None
        pixels = rows.total(name) * columns.total(name)
        macs += item.macs // (layer.height * layer.width) * pixels
        cost += item.whole_cost * pixels / (layer.height * layer.width)
        cost += ROW_CALL * grid * rows.total(name)
    return _Stage(_largest(facts, rows, columns, end), macs, cost)


def _largest(facts: Facts, rows: PartSpans, columns: PartSpans, end: int) -> int:
    """The most bytes of patches and scratch that one layer of the stage finds in use."""
    most = 0
    for index in range(end):
        alive = aligned(facts.items[index].whole_scratch_bytes)
        for producer in range(min(index + 1, end - 1)):
            tensor = facts.tensors[facts.items[producer].unit.output]
            if tensor.readers[-1] >= index:
                alive += aligned(_patch_bytes(facts, tensor.name, rows, columns))
        most = max(most, alive)
    return most


def _patch_bytes(facts: Facts, name: str, rows: PartSpans, columns: PartSpans) -> int:
    tensor = facts.graph.tensors[name]
    _, _, channels = map_size(tensor.shape)
    pixels = rows.longest(name) * columns.longest(name)
    return pixels * channels * DTYPE_BYTES[tensor.dtype]


def _candidate(facts: Facts, stage: _Stage, size: int, end: int, grid: int) -> Candidate:
    rest = facts.items[end:]
    plan = Plan(facts.graph, tuple(_segments(facts, end, grid)), facts.input_mode)
    macs = stage.macs + sum(item.macs for item in rest)
    return Candidate(plan.verify(), size, stage.cost + sum(i.whole_cost for i in rest), macs)


def _segments(facts: Facts, end: int, grid: int) -> Iterator[PlannedSegment]:
    names = [node.name for node in facts.graph.nodes]
    first = names.index(facts.items[end - 1].name) + 1
    while first < len(names) and operator_of(facts.graph.nodes[first]).is_view:
        first += 1
    yield PlannedSegment("B", tuple(names[:first]), parts=grid)
    for name in names[first:]:
        yield PlannedSegment("L", (name,))
