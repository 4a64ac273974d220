# SPDX-License-Identifier: Apache-2.0
"""What the search knows of a model: items in order, their rows, bytes and costs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from edgekit.converters.choose import Choice
from edgekit.converters.lowering.segment import KnownSteps, SegmentBuilder
from edgekit.converters.lowering.storage import Storage
from edgekit.converters.schedule.costs import layer_cost, pair_cost, row_cost
from edgekit.converters.schedule.order import Unit, demand_order, row_lives
from edgekit.converters.schedule.pairing import can_pair, can_pair_columns
from edgekit.converters.schedule.plan import (
    NOTHING_TWICE,
    PairPrimitive,
    PlannedPair,
    PlannedSegment,
    Repeats,
)
from edgekit.costs import Costs
from edgekit.ir import Call, QGraph
from edgekit.program import InputMode, OutputMode, Step
from edgekit.window import Axis

LONGEST_SEGMENT = 96
"""Layers that may flow together: the search is exact for models of up to as many layers, and its
time grows with the number of layers instead of its square for longer ones."""
BLOCKS = (4, 8, 16, 32)
"""Channels of a block that the search tries."""
COLUMNS = (4, 8, 16, 32)
"""Columns of a block that the search tries."""


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
    """Rows of a tensor that a schedule keeps; passing: consumed as soon as they are there."""

    rows: int
    passing: bool


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


def gather_facts(
    graph: QGraph,
    choices: Mapping[str, Choice],
    input_mode: InputMode,
    output_mode: OutputMode = "resident",
    *,
    repeats: Repeats = NOTHING_TWICE,
    compact: Collection[str] | None = None,
) -> Facts:
    """Everything that does not depend on where the model is cut; ``repeats`` as in a Plan.

    compact: the choices are compact ones, and only these layers make pairs (compact.py).
    """
    return _Gathering(graph, choices, (input_mode, output_mode), repeats, compact).facts()


class _Gathering:
    def __init__(
        self,
        graph: QGraph,
        choices: Mapping[str, Choice],
        modes: tuple[InputMode, OutputMode],
        repeats: Repeats,
        compact: Collection[str] | None,
    ) -> None:
        self._graph, self._choices, self._repeats = graph, choices, repeats
        self._compact = compact
        self._mode, self._output_mode = modes
        self._streamed = self._mode in ("stream", "pull")
        self._storage = Storage(
            graph,
            choices,
            arena_input=self._streamed or self._mode == "overwrite",
            streams_output=self._output_mode == "stream",
            pulled=repeats.pulled,
        )
        self._known: KnownSteps = {}
        self._calls = [call for call in graph.calls() if call.node.name in choices]
        self._accumulating = tuple(
            call.node.name
            for call in self._calls
            if choices[call.node.name].accumulating is not None
            and self._storage.height(self._storage.root_of(call.activations[0].name)) > 1
        )

    def facts(self) -> Facts:
        items = self._items()
        self._reads = [tuple(read.tensor for read in item.unit.reads) for item in items]
        tensors = self._tensors(items)
        pairs = self._pairs(items, tensors)
        return Facts(
            self._graph,
            self._mode,
            self._output_mode,
            tuple(items),
            tensors,
            {way: self._rings(way, pairs) for way in ("C", "F", "R", "D")},
            pairs,
            dict(enumerate(self._reads)),
            self._repeats,
        )

    def _builder(self, planned: PlannedSegment) -> SegmentBuilder:
        return SegmentBuilder(self._storage, self._choices, planned, 0, known=self._known)

    def _segment(self, primitive: str, pairs: Sequence[PlannedPair] = ()) -> SegmentBuilder:
        nodes = tuple(node.name for node in self._graph.nodes)
        flows = primitive == "C"
        accumulating = self._accumulating if flows else ()
        planned = PlannedSegment("C" if flows else "L", nodes, tuple(pairs), accumulating)
        segment = self._builder(planned)
        if self._streamed:
            segment.add_input(self._graph.inputs[0].tensor)
        for call in self._graph.calls():
            if call.node.name in self._choices:
                segment.add(call)
            elif call.output.name in self._repeats.pulled:
                segment.add_input(call.output.name, call.node.name)
        if self._output_mode == "stream":
            segment.add_output(self._graph.outputs[0].tensor)
        return segment

    def _items(self) -> list[Item]:
        rows, whole = self._segment("C"), self._segment("L")
        calls = {call.node.name: call for call in self._calls}
        names = {node.name for node in self._graph.nodes}
        found = []
        for unit, step, other in zip(rows.units, rows.steps, whole.steps, strict=True):
            sums = step.kernel is not None and step.kernel.accumulates
            call = calls.get(step.layer)
            found.append(
                Item(
                    step.layer,
                    unit,
                    step,
                    other,
                    0 if sums else step.scratch_bytes,
                    step.scratch_bytes if sums else 0,
                    other.scratch_bytes,
                    row_cost(call, step, self._costs_of(call)) if call else 0.0,
                    layer_cost(call, other, self._costs_of(call)) if call else 0.0,
                    step.macs,
                    sums,
                    step.layer in names,
                )
            )
        return found

    def _costs_of(self, call: Call) -> Costs:
        return self._choices[call.node.name].costs

    def _tensors(self, items: Sequence[Item]) -> dict[str, TensorFact]:
        readers: dict[str, list[int]] = {}
        producer: dict[str, int] = {}
        for index, item in enumerate(items):
            producer[item.unit.output] = index
            for read in item.unit.reads:
                readers.setdefault(read.tensor, []).append(index)
        storage = self._storage
        facts = {
            name: TensorFact(
                name,
                storage.height(name),
                storage.row_bytes(name),
                producer.get(name, -1),
                tuple(readers.get(name, ())),
                not storage.in_arena(name)
                or storage.is_copied(name)
                or not storage.has_plain_rows(name),
                storage.in_arena(name),
            )
            for name in dict.fromkeys([*producer, *readers])
            if name in storage.graph.tensors
        }
        for name, index in producer.items():  # rows that leave are no tensor
            rows = len(items[index].unit.firings)
            facts.setdefault(name, TensorFact(name, rows, 0, index, (), True, False))
        return facts

    def _rings(self, way: str, pairs: Mapping[int, Sequence[PairOption]]) -> dict[str, Ring]:
        """The rows that each tensor keeps when the whole model flows.

        Where pairs share layers, those of tensors in front of a pair are taken from a plan with it.
        """
        first = {
            index: next((o.planned for o in options if o.planned.primitive == way), None)
            for index, options in pairs.items()
        }
        left = {index: planned for index, planned in first.items() if planned is not None}
        rings = self._rings_with({})
        while left:
            chosen = _apart(left)
            found = self._rings_with({index: left.pop(index) for index in chosen})
            for index in chosen:
                rings |= {read: found[read] for read in self._reads[index] if read in found}
        return rings

    def _rings_with(self, planned: Mapping[int, PlannedPair]) -> dict[str, Ring]:
        segment = self._segment("C", tuple(planned.values()))
        order = demand_order(segment.units, segment.final_tensors())
        lives = row_lives(segment.units, order)
        never_computed = {unit.output: Ring(0, passing=True) for unit in segment.units}
        return never_computed | {
            tensor: Ring(life.capacity, passing=life.capacity == 1 and life.longest <= 1)
            for tensor, life in lives.items()
        }

    def _pairs(
        self, items: Sequence[Item], tensors: Mapping[str, TensorFact]
    ) -> dict[int, tuple[PairOption, ...]]:
        """Options by the item of the producer, where its only reader is the next item."""
        calls = {call.node.name: call for call in self._calls}
        found: dict[int, tuple[PairOption, ...]] = {}
        for index, (first, second) in enumerate(itertools.pairwise(items)):
            if not {first.name, second.name} <= set(
                calls if self._compact is None else self._compact
            ):
                continue
            producer, consumer = calls[first.name], calls[second.name]
            fact = tensors[first.unit.output]
            if fact.readers != (index + 1,) or fact.must_be_whole:
                continue
            options: list[PairOption] = []
            if can_pair(producer, consumer, first.step, second.step):
                options += self._options(producer, consumer, first, second)
            if can_pair_columns(consumer, first.step, second.step):
                options += self._column_options(producer, consumer, first, second)
            if options:
                found[index] = tuple(options)
        return found

    def _column_options(
        self, producer: Call, consumer: Call, first: Item, second: Item
    ) -> Iterator[PairOption]:
        """Blocks of columns whose tile takes less than the rows that it stands for."""
        assert second.step.loop is not None
        rows = self._storage.row_bytes(self._storage.root_of(producer.output.name))
        for columns in COLUMNS:
            if columns < second.step.loop.output_width:
                option = self._option("D", columns, producer, consumer)
                if option.tile_row_bytes < rows:
                    yield option

    def _options(
        self, producer: Call, consumer: Call, first: Item, second: Item
    ) -> list[PairOption]:
        assert first.step.loop is not None
        assert first.step.kernel is not None and second.step.kernel is not None
        channels = first.step.loop.output_channels
        multiple = math.lcm(
            first.step.kernel.channel_blocks(producer), second.step.kernel.channel_blocks(consumer)
        )
        blocks = sorted({min(b, channels) for b in BLOCKS if b % multiple == 0} or {channels})
        found = []
        primitives: tuple[PairPrimitive, ...] = ("F", "R", "E")
        for primitive in primitives:
            for block in blocks:
                found.append(self._option(primitive, block, producer, consumer))
        return found

    def _option(
        self, primitive: PairPrimitive, block: int, producer: Call, consumer: Call
    ) -> PairOption:
        names = (producer.node.name, consumer.node.name)
        planned = PlannedPair(primitive, *names, block, compact=self._compact is not None)
        segment = self._builder(PlannedSegment("C", names, (planned,)))
        segment.add(producer)
        segment.add(consumer)
        (pair,) = segment.pairs
        first, second = segment.steps
        assert second.loop is not None and isinstance(second.loop.rows, Axis)
        again = second.loop.rows.kernel - second.loop.rows.stride
        return PairOption(
            planned,
            pair.kept_bytes,
            pair.tile_bytes,
            pair.tile_row_bytes,
            second.scratch_bytes,
            pair_cost(pair, (producer, consumer), (first, second), self._costs_of(producer)),
            segment.pair_macs(pair),
            first.macs + second.macs,
            max(again, 0) if planned.primitive == "R" else 0,
            segment.units[0],
        )


def _apart(pairs: Iterable[int]) -> list[int]:
    """As many pairs as share no layer, from the first on."""
    chosen: list[int] = []
    for index in sorted(pairs):
        if not chosen or index > chosen[-1] + 1:
            chosen.append(index)
    return chosen
