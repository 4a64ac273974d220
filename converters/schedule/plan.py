# SPDX-License-Identifier: Apache-2.0
"""A schedule as data: segments of the node list, and how the layers of each share their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgekit.ir import QGraph
from edgekit.program import InputMode

PairPrimitive = Literal["F", "R", "E", "D"]
Primitive = Literal["L", "C"] | PairPrimitive
"""What runs a segment (or a pair inside one).

L: one layer computes its whole output. C: the layers advance together, row by row, and between
them only the rows live that are still needed. Pairs inside a C segment, which compute the map
between a convolution and the channelwise layer behind it block of channels by block: F keeps the
rows that the next window needs, R keeps none and computes them again, E runs over the whole map
for one block before the next. And pairs of any two layers, of which the second has windows: D
computes both a block of columns at a time, and keeps the rows that the next window needs; a column
that both have passed takes the place of one of the oldest row (runtime_c/ek_column_pair.h).
"""


@dataclass(frozen=True)
class PlannedPair:
    """Two nodes of a segment, by name, that share rows block by block.

    block: channels of a block, or for D columns of the consumer's rows.
    """

    primitive: PairPrimitive
    producer: str
    consumer: str
    block: int


@dataclass(frozen=True)
class PlannedSegment:
    """Consecutive nodes, by name; those in ``accumulating`` take their input row by row."""

    primitive: Literal["L", "C"]
    nodes: tuple[str, ...]
    pairs: tuple[PlannedPair, ...] = ()
    accumulating: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The segments of a model in execution order, and how its input comes.

    pulled: views of the input into which its rows are read once more.
    """

    graph: QGraph
    segments: tuple[PlannedSegment, ...]
    input_mode: InputMode = "resident"
    pulled: tuple[str, ...] = ()

    def verify(self) -> Plan:
        """Check that the segments hold every node once, in order, and pairs lie inside them."""
        planned = [name for segment in self.segments for name in segment.nodes]
        assert planned == [node.name for node in self.graph.nodes], "the plan skips or moves nodes"
        for segment in self.segments:
            for pair in segment.pairs:
                assert {pair.producer, pair.consumer} <= set(segment.nodes), pair
        return self
