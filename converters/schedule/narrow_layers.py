# SPDX-License-Identifier: Apache-2.0
"""Which rows and columns the layers of strips and patches see, without making their calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edgekit.converters.lowering.narrow import call_window, narrow_call, whole_region
from edgekit.converters.schedule.facts import Facts
from edgekit.ir import Call, Tensor
from edgekit.layout import map_size
from edgekit.program import INPUT_STEP

Span = tuple[int, int]
"""Rows [top, bottom) or columns [left, right) of a map."""
Along = Literal["rows", "columns"]


@dataclass(frozen=True, eq=False)
class NarrowLayer:
    """An item that can compute a part of its output; call: None for the arrival of the input."""

    call: Call | None
    height: int
    width: int

    def seen(self, span: Span, along: Along) -> list[tuple[Tensor, Span]] | None:
        """What of every activation is under a part of the output; None: all of that is padding."""
        if self.call is None:
            return []
        window, position = call_window(self.call), 0 if along == "rows" else 1
        assert window is not None
        sizes = [map_size(tensor.shape)[position] for tensor in self.call.activations]
        axis = window.height if along == "rows" else window.width
        part = axis.part(*span, max(sizes))
        if part is None:
            return None
        wanted = part[1], part[2]
        pairs = zip(self.call.activations, sizes, strict=True)
        return [(tensor, (0, 1) if size == 1 else wanted) for tensor, size in pairs]


def narrow_layers(facts: Facts) -> list[NarrowLayer | None]:
    """One for every item; None where it cannot compute a part."""
    return [_narrow_layer(facts, index) for index in range(len(facts.items))]


def _narrow_layer(facts: Facts, index: int) -> NarrowLayer | None:
    step = facts.items[index].step
    if step.op == INPUT_STEP:
        height, width, _ = map_size(facts.graph.tensors[step.output.tensor].shape)
        return NarrowLayer(None, height, width) if facts.input_mode == "pull" else None
    call = step.call
    if call is None or step.kernel is None or step.kernel.kind != "rows":
        return None
    read = {tensor.name for tensor in call.activations}
    if step.kernel.accumulates or not read <= set(facts.reads[index]):
        return None
    if narrow_call(call, whole_region(call.output.shape)) is None:
        return None
    height, width, _ = map_size(call.output.shape)
    return NarrowLayer(call, height, width)


class PartSpans:
    """The spans of every map along one axis, by tensor; walked from the last layer to the first."""

    def __init__(self, output: str, spans: list[Span], along: Along) -> None:
        self._spans: dict[str, list[Span]] = {output: spans}
        self._along = along

    def __getitem__(self, tensor: str) -> list[Span]:
        return self._spans[tensor]

    def take(self, layer: NarrowLayer, output: str) -> bool:
        """Add what a layer sees; False where nobody reads it, or it would see nothing but padding."""
        for number, span in enumerate(self._spans.get(output, ())):
            seen = layer.seen(span, self._along)
            if seen is None:
                return False
            for tensor, wanted in seen:
                self._see(tensor.name, number, wanted)
        return output in self._spans

    def _see(self, tensor: str, number: int, wanted: Span) -> None:
        known = self._spans.setdefault(tensor, [])
        if len(known) <= number:
            known.append(wanted)
        else:
            before = known[number]
            known[number] = min(before[0], wanted[0]), max(before[1], wanted[1])

    def total(self, tensor: str) -> int:
        """Rows or columns of all parts together."""
        return sum(end - begin for begin, end in self._spans[tensor])

    def longest(self, tensor: str) -> int:
        """Those of the largest part."""
        return max(end - begin for begin, end in self._spans[tensor])


def is_inner(facts: Facts, index: int, end: int) -> bool:
    """Whether items in front of ``end`` alone read what an item computes."""
    tensor = facts.tensors[facts.items[index].unit.output]
    return not tensor.must_be_whole and bool(tensor.readers) and tensor.readers[-1] < end


def layouts_in_front(facts: Facts, first: int, end: int) -> Iterator[str]:
    """The layouts of the maps that items [first, end) read and others have computed."""
    made = {facts.items[index].unit.output for index in range(first, end)}
    read = {name for index in range(first, end) for name in facts.reads[index]}
    for name in sorted(read - made):
        producer = facts.tensors[name].producer
        yield "nhwc" if producer < 0 else facts.items[producer].step.output.layout.kind
