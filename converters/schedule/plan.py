# SPDX-License-Identifier: Apache-2.0
"""A schedule as data: segments of the node list, each with the primitive that runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgekit.ir import QGraph

Primitive = Literal["L"]
"""L: layer by layer over whole maps."""


@dataclass(frozen=True)
class PlannedSegment:
    """Consecutive nodes, by name, under one primitive."""

    primitive: Primitive
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """The segments of a model in execution order."""

    graph: QGraph
    segments: tuple[PlannedSegment, ...]

    def verify(self) -> Plan:
        """Check that the segments hold every node once, in order."""
        planned = [name for segment in self.segments for name in segment.nodes]
        assert planned == [node.name for node in self.graph.nodes], "the plan skips or moves nodes"
        return self
