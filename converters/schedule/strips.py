# SPDX-License-Identifier: Apache-2.0
"""What the search knows of segments that run in strips of columns: widths, bytes, costs, MACs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edgekit.converters.narrow import column_axis, narrow_call, whole_region
from edgekit.converters.schedule.costs import BLOCK_CALL, ROW_CALL
from edgekit.converters.schedule.facts import Facts, Item, PairOption, TensorFact
from edgekit.converters.tiles import spans
from edgekit.ir import Call, Tensor
from edgekit.layout import NHWC, map_size
from edgekit.program import INPUT_STEP
from edgekit.window import Region

STRIPS = (2, 3, 4, 6, 8)
"""Strips of a segment that the search tries."""
Span = tuple[int, int]
"""Columns [left, right) of a map."""


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
    layers = [_Layer.of(facts, index) for index in range(len(facts.items))]
    for end in range(1, len(layers) + 1):
        last = layers[end - 1]
        if last is None or not last.writes_strips:
            continue
        for parts in STRIPS:
            if parts <= last.width:
                walk = _Walk(facts, layers, end, parts, extra_macs)
                if walk.firsts:
                    yield StripFacts(walk.strips(), end, parts, tuple(walk.firsts))


@dataclass(frozen=True, eq=False)
class _Layer:
    """What narrows an item: its call, None for the arrival of the input."""

    call: Call | None
    width: int

    @staticmethod
    def of(facts: Facts, index: int) -> _Layer | None:
        """None where an item cannot run in strips."""
        step = facts.items[index].step
        if step.op == INPUT_STEP:
            shape = facts.graph.tensors[step.output.tensor].shape
            return _Layer(None, map_size(shape)[1]) if facts.input_mode == "pull" else None
        call = step.call
        if call is None or step.kernel is None or step.kernel.kind != "rows":
            return None
        read = {tensor.name for tensor in call.activations}
        if step.kernel.accumulates or not read <= set(facts.reads[index]):
            return None
        if narrow_call(call, whole_region(call.output.shape)) is None:
            return None
        return _Layer(call, map_size(call.output.shape)[1])

    @property
    def writes_strips(self) -> bool:
        """Whether the whole output can be written strip by strip."""
        return self.call is not None

    def seen(self, columns: Span) -> Iterator[tuple[Tensor, Span]] | None:
        """The columns of every activation under those of the output; None: all of it is padding."""
        if self.call is None:
            return iter(())
        part = column_axis(self.call).part(*columns, self._input_width())
        if part is None:
            return None
        _, *wanted = part
        return ((t, self._of_operand(t, (wanted[0], wanted[1]))) for t in self.call.activations)

    def _input_width(self) -> int:
        assert self.call is not None
        return max(map_size(tensor.shape)[1] for tensor in self.call.activations)

    def _of_operand(self, tensor: Tensor, wanted: Span) -> Span:
        return (0, 1) if map_size(tensor.shape)[1] == 1 else wanted


class _Walk:
    """From the last layer to the first: the columns of every strip."""

    def __init__(
        self,
        facts: Facts,
        layers: list[_Layer | None],
        end: int,
        parts: int,
        extra_macs: int | None,
    ) -> None:
        self._facts, self._layers, self._end, self._parts = facts, layers, end, parts
        last = layers[end - 1]
        assert last is not None
        output = facts.items[end - 1].unit.output
        self._columns: dict[str, list[Span]] = {output: list(spans(last.width, parts))}
        self._items: dict[int, Item] = {}
        self.firsts: list[int] = []
        self._extra = 0
        for first in range(end - 1, -1, -1):
            if not self._take(first):
                break
            if self._begins(first) and (extra_macs is None or self._extra <= extra_macs):
                self.firsts.append(first)

    def _take(self, index: int) -> bool:
        """Narrow an item; False where it cannot be part of the segment."""
        layer, item = self._layers[index], self._facts.items[index]
        columns = self._columns.get(item.unit.output)
        if layer is None or columns is None or not self._is_inner(index):
            return False
        for number, span in enumerate(columns):
            seen = layer.seen(span)
            if seen is None:
                return False
            for tensor, wanted in seen:
                self._see(tensor.name, number, wanted)
        total = sum(right - left for left, right in columns)
        self._items[index] = _narrow_item(item, total, layer.width, self._parts)
        self._extra += self._items[index].macs - item.macs
        return True

    def _see(self, tensor: str, number: int, wanted: Span) -> None:
        known = self._columns.setdefault(tensor, [])
        if len(known) <= number:
            known.append(wanted)
        else:
            left, right = known[number]
            known[number] = min(left, wanted[0]), max(right, wanted[1])

    def _is_inner(self, index: int) -> bool:
        """Whether the segment alone reads what an item computes, unless that is its output."""
        tensor = self._facts.tensors[self._facts.items[index].unit.output]
        if index == self._end - 1:
            return self._facts.items[index].step.output.layout == NHWC
        return not tensor.must_be_whole and tensor.readers[-1] < self._end

    def _begins(self, first: int) -> bool:
        """Whether a segment may begin with an item: whole maps in front of it have columns."""
        made = {self._facts.items[index].unit.output for index in range(first, self._end)}
        read = {name for index in range(first, self._end) for name in self._facts.reads[index]}
        return all(self._layout_kind(name) == "nhwc" for name in read - made)

    def _layout_kind(self, tensor: str) -> str:
        producer = self._facts.tensors[tensor].producer
        return "nhwc" if producer < 0 else self._facts.items[producer].step.output.layout.kind

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
        spans_of = self._columns[tensor.name]
        return dataclasses.replace(
            tensor, row_bytes=max(self._row_bytes(tensor, span) for span in spans_of)
        )

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
