# SPDX-License-Identifier: Apache-2.0
"""The layerwise schedule: every layer computes its whole output before the next one starts."""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.converters.choose import Choice
from edgekit.converters.lowering.lower import lower
from edgekit.converters.schedule.costs import layer_cost
from edgekit.converters.schedule.plan import Plan, PlannedSegment
from edgekit.ir import QGraph
from edgekit.program import InputMode, OutputMode


def layerwise(
    graph: QGraph,
    *,
    input_mode: InputMode = "resident",
    output_mode: OutputMode = "resident",
) -> Plan:
    """One segment of primitive L for each node, behind one that takes a streamed input."""
    segments = [PlannedSegment("L", (node.name,)) for node in graph.nodes]
    if input_mode in ("stream", "pull"):
        segments.insert(0, PlannedSegment("C", ()))
    return Plan(graph, tuple(segments), input_mode, output_mode).verify()


def layer_costs(graph: QGraph, choices: Mapping[str, Choice]) -> dict[str, float]:
    """Modelled instructions of every layer in this schedule, what calls it included."""
    calls = {call.node.name: call for call in graph.calls()}
    return {
        step.layer: layer_cost(calls[step.layer], step, choices[step.layer].costs)
        for step in lower(layerwise(graph), choices).steps
    }
