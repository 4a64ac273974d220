# SPDX-License-Identifier: Apache-2.0
"""A schedule as data: segments of the node list, and how the layers of each share their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgekit.ir import QGraph
from edgekit.program import InputMode, OutputMode

PairPrimitive = Literal["F", "R", "E", "D"]
Primitive = Literal["L", "C", "H", "B"] | PairPrimitive
"""What runs a segment (or a pair inside one).

L: one layer computes its whole output. C: the layers advance together, row by row, and between
them only the rows live that are still needed. H: the same for one strip of columns after the other.
B: a grid of patches, in each of which one layer after the other computes what the patch needs.
Pairs inside a C or H segment, which compute the map between a convolution and the channelwise layer
behind it block of channels by block: F keeps the rows that the next window needs, R keeps none and
computes them again, E runs over the whole map for one block before the next. And pairs of any two
layers, of which the second has windows, in a C segment: D computes both a block of columns at a
time, and keeps the rows that the next window needs; a column that both have passed takes the place
of one of the oldest row (runtime_c/ek_column_pair.h).
"""


@dataclass(frozen=True)
class PlannedPair:
    """Two nodes of a segment, by name, that share rows block by block.

    block: channels of a block, or for D columns of the consumer's rows. compact: the map between
    them is NHWC, with the kernels for that (Choice.compact): they are slower, its rows are shorter.
    """

    primitive: PairPrimitive
    producer: str
    consumer: str
    block: int
    compact: bool = False


@dataclass(frozen=True)
class PlannedSegment:
    """Consecutive nodes, by name; those in ``accumulating`` take their input row by row.

    parts: strips of primitive H, or patches along each side of B.
    """

    primitive: Literal["L", "C", "H", "B"]
    nodes: tuple[str, ...]
    pairs: tuple[PlannedPair, ...] = ()
    accumulating: tuple[str, ...] = ()
    parts: int = 1


@dataclass(frozen=True)
class Split:
    """The last layer of a bottleneck, by name, whose inner channels are computed in blocks (X)."""

    project: str
    blocks: int


@dataclass(frozen=True)
class Repeats:
    """How the graph of a plan differs from the model: what is computed again for its last reader
    (schedule/again.py), and which bottlenecks in blocks (schedule/split.py).

    skips: (tensor, the map from which it is computed); pulled: views of the input into which its
    rows are read once more for that.
    """

    skips: tuple[tuple[str, str], ...] = ()
    pulled: tuple[str, ...] = ()
    splits: tuple[Split, ...] = ()


NOTHING_TWICE = Repeats()


@dataclass(frozen=True)
class Plan:
    """The segments of a model in execution order, how its input comes and its output goes.

    A streamed input arrives in the first segment; a streamed output leaves in the last one if that
    is of primitive C, else behind it. repeats: what of the model the graph has twice.
    """

    graph: QGraph
    segments: tuple[PlannedSegment, ...]
    input_mode: InputMode = "resident"
    output_mode: OutputMode = "resident"
    repeats: Repeats = NOTHING_TWICE

    @property
    def compact(self) -> frozenset[str]:
        """The nodes of compact pairs."""
        pairs = (pair for segment in self.segments for pair in segment.pairs if pair.compact)
        return frozenset(name for pair in pairs for name in (pair.producer, pair.consumer))

    def verify(self) -> Plan:
        """Check that the segments hold every node once, in order, and pairs lie inside them."""
        planned = [name for segment in self.segments for name in segment.nodes]
        assert planned == [node.name for node in self.graph.nodes], "the plan skips or moves nodes"
        for number, segment in enumerate(self.segments):
            pushed = number == 0 and self.input_mode == "stream"
            assert not pushed or segment.primitive in ("L", "C"), (
                "rows that are pushed come only once"
            )
            for pair in segment.pairs:
                assert {pair.producer, pair.consumer} <= set(segment.nodes), pair
        return self
