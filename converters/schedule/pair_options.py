# SPDX-License-Identifier: Apache-2.0
"""The ways to run two layers as a pair, with their bytes and costs.

Row-planar rows of a narrow map are up to half padding. Where bytes count more than time, a pair may
take kernels that keep the map between in NHWC (Choice.compact): a second kind of pairs, of which
the search takes as many as it likes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from edgekit.converters.choose import Choice
from edgekit.converters.schedule.costs import pair_cost
from edgekit.converters.schedule.facts import Item, PairOption, Ring, TensorFact
from edgekit.converters.schedule.pairing import can_pair, can_pair_columns
from edgekit.converters.schedule.plan import PairPrimitive, PlannedPair
from edgekit.converters.schedule.segments import Segments
from edgekit.ir import Call
from edgekit.program import Step
from edgekit.window import Axis

BLOCKS = (4, 8, 16, 32)
"""Channels of a block that the search tries."""
COLUMNS = (4, 8, 16, 32)
"""Columns of a block that the search tries."""

Options = Mapping[int, tuple[PairOption, ...]]
"""By the item of the producer, whose only reader is the next item."""


class PairOptions:
    """Finds those of one kind, whose kernels are those of ``segments``."""

    def __init__(
        self, segments: Segments, choices: Mapping[str, Choice], *, compact: bool = False
    ) -> None:
        self._segments, self._choices, self._compact = segments, choices, compact

    def find(self, items: Sequence[Item], tensors: Mapping[str, TensorFact]) -> Options:
        """All options of a model."""
        found: dict[int, tuple[PairOption, ...]] = {}
        for index, (first, second) in enumerate(itertools.pairwise(items)):
            if not self._has_kernels(first.name) or not self._has_kernels(second.name):
                continue
            fact = tensors[first.unit.output]
            if fact.readers != (index + 1,) or fact.must_be_whole:
                continue
            if options := self._options_of(first.name, second.name):
                found[index] = options
        return found

    def _has_kernels(self, name: str) -> bool:
        choice = self._choices.get(name)
        return choice is not None and (choice.compact is not None or not self._compact)

    def _options_of(self, first: str, second: str) -> tuple[PairOption, ...]:
        producer, consumer = self._segments.calls[first], self._segments.calls[second]
        steps = self._segments.layers(first, second).steps
        options: list[PairOption] = []
        if can_pair(producer, consumer, *steps):
            options += self._row_options(producer, consumer, *steps)
        if can_pair_columns(consumer, *steps):
            options += self._column_options(producer, consumer, steps[1])
        return tuple(options)

    def _column_options(self, producer: Call, consumer: Call, second: Step) -> Iterator[PairOption]:
        """Blocks of columns whose tile takes less than the rows that it stands for."""
        assert second.loop is not None
        storage = self._segments.storage
        rows = storage.row_bytes(storage.root_of(producer.output.name))
        for columns in COLUMNS:
            if columns < second.loop.output_width:
                option = self._option("D", columns, producer, consumer)
                if option.tile_row_bytes < rows:
                    yield option

    def _row_options(
        self, producer: Call, consumer: Call, first: Step, second: Step
    ) -> Iterator[PairOption]:
        assert first.loop is not None and first.kernel is not None and second.kernel is not None
        channels = first.loop.output_channels
        multiple = math.lcm(
            first.kernel.channel_blocks(producer), second.kernel.channel_blocks(consumer)
        )
        blocks = sorted({min(b, channels) for b in BLOCKS if b % multiple == 0} or {channels})
        primitives: tuple[PairPrimitive, ...] = ("F", "R", "E")
        for primitive in primitives:
            for block in blocks:
                yield self._option(primitive, block, producer, consumer)

    def _option(
        self, primitive: PairPrimitive, block: int, producer: Call, consumer: Call
    ) -> PairOption:
        names = (producer.node.name, consumer.node.name)
        planned = PlannedPair(primitive, *names, block, compact=self._compact)
        segment = self._segments.pair(planned)
        (pair,) = segment.pairs
        first, second = segment.steps
        assert second.loop is not None and isinstance(second.loop.rows, Axis)
        again = second.loop.rows.kernel - second.loop.rows.stride
        costs = self._choices[producer.node.name].costs
        return PairOption(
            planned,
            pair.kept_bytes,
            pair.tile_bytes,
            pair.tile_row_bytes,
            second.scratch_bytes,
            pair_cost(pair, (producer, consumer), (first, second), costs),
            segment.pair_macs(pair),
            first.macs + second.macs,
            max(again, 0) if planned.primitive == "R" else 0,
            segment.units[0],
        )


def rings_with_pairs(
    segments: Segments, way: str, options: Options, reads: Sequence[Sequence[str]]
) -> dict[str, Ring]:
    """The rows that each tensor keeps when the whole model flows.

    Where pairs share layers, those of tensors in front of a pair are taken from a plan with it.
    """
    first = {
        index: next((o.planned for o in found if o.planned.primitive == way), None)
        for index, found in options.items()
    }
    left = {index: planned for index, planned in first.items() if planned is not None}
    rings = segments.rings(())
    while left:
        chosen = _apart(left)
        found = segments.rings([left.pop(index) for index in chosen])
        for index in chosen:
            rings |= {read: found[read] for read in reads[index] if read in found}
    return rings


def _apart(pairs: Iterable[int]) -> list[int]:
    """As many pairs as share no layer, from the first on."""
    chosen: list[int] = []
    for index in sorted(pairs):
        if not chosen or index > chosen[-1] + 1:
            chosen.append(index)
    return chosen
