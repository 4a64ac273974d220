# SPDX-License-Identifier: Apache-2.0
"""The layerwise schedule: every layer computes its whole output before the next one starts."""

from __future__ import annotations

from edgekit.converters.schedule.plan import Plan, PlannedSegment
from edgekit.ir import QGraph


def layerwise(graph: QGraph) -> Plan:
    """One segment of primitive L over all nodes."""
    return Plan(graph, (PlannedSegment("L", tuple(node.name for node in graph.nodes)),)).verify()
