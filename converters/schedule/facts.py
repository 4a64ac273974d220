# SPDX-License-Identifier: Apache-2.0
"""What the search knows of a model: items in order, their rows, bytes and costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgekit.converters.schedule.order import Unit
from edgekit.converters.schedule.plan import NOTHING_TWICE, PlannedPair, Repeats
from edgekit.ir import QGraph
from edgekit.program import InputMode, OutputMode, Step

LONGEST_SEGMENT = 96
"""Layers that may flow together: the search is exact for models of up to as many layers, and its
time grows with the number of layers instead of its square for longer ones."""


@dataclass(frozen=True, eq=False)
class TensorFact:
    """A tensor in memory (views share that of their root).

    readers: items that read it, in order. must_be_whole: it is an output, or someone sees its rows
    in another shape. in_arena: it takes arena bytes when it is whole. held_rows: those of an output
    that must wait in the arena for the last row of a streamed input, where it flows from there.
    """

    name: str
    height: int
    row_bytes: int
    producer: int
    readers: tuple[int, ...]
    must_be_whole: bool
    in_arena: bool
    held_rows: int = 0

    @property
    def bytes(self) -> int:
        return self.height * self.row_bytes


@dataclass(frozen=True)
class Ring:
    """Rows of a tensor that a schedule keeps.

    passing: consumed as soon as they are there. emptied: no layer behind those that read the tensor
    ever runs while a row is held.
    """

    rows: int
    passing: bool
    emptied: bool


@dataclass(frozen=True, eq=False)
class Item:
    """A layer, the arrival of the input, or the departure of the output.

    unit: its rows in a segment that flows. scratch: bytes while it runs row by row, and layerwise;
    sums: bytes that a kernel which accumulates keeps. cost: row by row, and layerwise. is_node: it
    is a node of the graph: an input that is read once more is one, its first arrival is none.
    """

    name: str
    unit: Unit
    step: Step
    whole_step: Step
    scratch_bytes: int
    sums_bytes: int
    whole_scratch_bytes: int
    cost: float
    whole_cost: float
    macs: int
    accumulates: bool
    is_node: bool


@dataclass(frozen=True)
class PairOption:
    """One way to run items (index, index + 1) as a pair."""

    planned: PlannedPair
    kept_bytes: int
    tile_bytes: int
    tile_row_bytes: int
    scratch_bytes: int
    cost: float
    macs: int
    plain_macs: int
    reread_rows: int
    """Rows of its input that it reads again for the next row: how much later they are free."""
    unit: Unit
    """Its rows in a segment that flows."""

    @property
    def is_free(self) -> bool:
        """Whether it computes nothing twice."""
        return self.macs <= self.plain_macs


@dataclass(frozen=True, eq=False)
class Facts:
    """items and tensors of a model; ``rings`` by way of running pairs ("C", "F", "R", "D")."""

    graph: QGraph
    input_mode: InputMode
    output_mode: OutputMode
    items: tuple[Item, ...]
    tensors: Mapping[str, TensorFact]
    rings: Mapping[str, Mapping[str, Ring]]
    pairs: Mapping[int, tuple[PairOption, ...]]
    reads: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    repeats: Repeats = NOTHING_TWICE
    apart: frozenset[tuple[int, int]] = frozenset()
    """Segments [i, j) of the items whose output overtakes no input (crowded.py)."""
