# SPDX-License-Identifier: Apache-2.0
"""What the search knows of segments that run in strips of columns: widths, bytes, costs, MACs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edgekit.converters.lowering.narrow import narrow_call
from edgekit.converters.lowering.tiles import spans
from edgekit.converters.schedule.costs import BLOCK_CALL, ROW_CALL
from edgekit.converters.schedule.facts import Facts, Item, PairOption, TensorFact
from edgekit.converters.schedule.narrow_layers import (
    NarrowLayer,
    PartSpans,
    Span,
    is_inner,
    layouts_in_front,
    narrow_layers,
)
from edgekit.layout import NHWC, map_size
from edgekit.window import Region

STRIPS = (2, 3, 4, 6, 8)
"""Strips of a segment that the search tries."""


@dataclass(frozen=True, eq=False)
class StripFacts:
    """Facts of the segments [first, end) of ``parts`` strips, for every ``first`` in ``firsts``.

    Bytes of rows are those of the widest strip, MACs and costs those of all strips together.
    """

    facts: Facts
    end: int
    parts: int
    firsts: tuple[int, ...]

    def added_cost(self, first: int, plain: Facts) -> float:
        """How much more time the strips of layers take that begin with ``first``, one by one."""
        pairs = zip(self.facts.items[first : self.end], plain.items[first : self.end], strict=True)
        return sum(ours.cost - theirs.cost for ours, theirs in pairs)


def strip_facts(facts: Facts, *, extra_macs: int | None) -> Iterator[StripFacts]:
    """All segments that can run in strips, and compute no more again than is allowed."""
    layers = narrow_layers(facts)
    for end in range(1, len(layers) + 1):
        last = layers[end - 1]
        if last is None or last.call is None:
            continue
        for parts in STRIPS:
            if parts <= last.width:
                walk = _Walk(facts, layers, end, parts, extra_macs)
                if walk.firsts:
                    yield StripFacts(walk.strips(), end, parts, tuple(walk.firsts))


class _Walk:
    """From the last layer to the first: the columns of every strip."""

    def __init__(
        self,
        facts: Facts,
        layers: list[NarrowLayer | None],
        end: int,
        parts: int,
        extra_macs: int | None,
    ) -> None:
        self._facts, self._layers, self._end, self._parts = facts, layers, end, parts
        last = layers[end - 1]
        assert last is not None
        output = facts.items[end - 1].unit.output
        self._columns = PartSpans(output, list(spans(last.width, parts)), "columns")
        self._items: dict[int, Item] = {}
        self.firsts: list[int] = []
        extra = 0
        for first in range(end - 1, -1, -1):
            if not self._take(first):
                break
            extra += self._items[first].macs - facts.items[first].macs
            begins = all(kind == "nhwc" for kind in layouts_in_front(facts, first, end))
            if begins and (extra_macs is None or extra <= extra_macs):
                self.firsts.append(first)

    def _take(self, index: int) -> bool:
        """Narrow an item; False where it cannot be part of the segment."""
        layer, item = self._layers[index], self._facts.items[index]
        inner = is_inner(self._facts, index, self._end)
        if index == self._end - 1:
            inner = item.step.output.layout == NHWC
        if layer is None or not inner or not self._columns.take(layer, item.unit.output):
            return False
        total = self._columns.total(item.unit.output)
        self._items[index] = _narrow_item(item, total, layer.width, self._parts)
        return True

    def strips(self) -> Facts:
        facts, first = self._facts, min(self.firsts)
        items = list(facts.items)
        tensors = dict(facts.tensors)
        pairs = {}
        for index in range(first, self._end):
            items[index] = self._items[index]
            name = items[index].unit.output
            if index < self._end - 1:
                tensors[name] = self._narrow_tensor(index)
        for index in range(first, self._end - 1):
            if index in facts.pairs and index + 2 <= self._end:
                pairs[index] = tuple(
                    self._narrow_pair(option, index, tensors)
                    for option in facts.pairs[index]
                    if option.planned.primitive != "D"
                )
        return dataclasses.replace(facts, items=tuple(items), tensors=tensors, pairs=pairs)

    def _narrow_tensor(self, index: int) -> TensorFact:
        tensor = self._facts.tensors[self._facts.items[index].unit.output]
        widest = max(self._row_bytes(tensor, span) for span in self._columns[tensor.name])
        return dataclasses.replace(tensor, row_bytes=widest)

    def _row_bytes(self, tensor: TensorFact, span: Span) -> int:
        """Bytes of a row of a strip; a row-planar one has the padding of its reader's window."""
        producer = self._layers[tensor.producer]
        assert producer is not None
        layout = self._facts.items[tensor.producer].step.output.layout
        if layout == NHWC:
            return tensor.row_bytes // producer.width * (span[1] - span[0])
        (reader,) = tensor.readers
        step = self._facts.items[reader].step
        assert step.call is not None and step.kernel is not None
        number = self._columns[tensor.name].index(span)
        height = map_size(step.call.output.shape)[0]
        columns = self._columns[step.call.output.name][number]
        narrow = narrow_call(step.call, Region(0, height, *columns))
        assert narrow is not None
        (planar,) = step.kernel.input_layouts(narrow.call)
        channels = map_size(step.call.activations[0].shape)[2]
        return planar.row_bytes(span[1] - span[0], channels)

    def _narrow_pair(
        self, option: PairOption, index: int, tensors: Mapping[str, TensorFact]
    ) -> PairOption:
        """Bytes go with those of a row between, MACs with those of the two layers."""
        plain, narrow = (
            self._facts.items[index : index + 2],
            [
                self._items[index],
                self._items[index + 1],
            ],
        )
        name = plain[0].unit.output
        row, whole = tensors[name].row_bytes, self._facts.tensors[name].row_bytes
        if option.planned.compact and (producer := self._layers[index]) is not None:
            row, whole = self._columns.longest(name), producer.width
        again = option.macs - plain[1].macs
        made = again * narrow[0].macs // max(plain[0].macs, 1) + narrow[1].macs
        factor = made / max(option.macs, 1)
        calls = sum(len(item.unit.firings) for item in plain) * (ROW_CALL + BLOCK_CALL)
        blocks = -(-self._channels(index) // option.planned.block)
        return dataclasses.replace(
            option,
            kept_bytes=option.kept_bytes * row // whole,
            tile_bytes=option.tile_bytes * row // whole,
            cost=option.cost * factor + calls * blocks * (self._parts - 1) / 2,
            macs=made,
            plain_macs=narrow[0].macs + narrow[1].macs,
        )

    def _channels(self, index: int) -> int:
        loop = self._facts.items[index].step.loop
        assert loop is not None
        return loop.output_channels


def _narrow_item(item: Item, columns: int, width: int, parts: int) -> Item:
    """An item whose strips have so many columns together."""
    calls = len(item.unit.firings) * ROW_CALL * (parts - 1)
    return dataclasses.replace(
        item,
        macs=item.macs // width * columns,
        cost=item.cost * columns / width + (calls if item.macs else 0),
    )
