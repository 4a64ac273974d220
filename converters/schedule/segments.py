# SPDX-License-Identifier: Apache-2.0
"""Segments of a model as a search looks at them: their steps, and the rows that they keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.converters.choose import Choice
from edgekit.converters.lowering.segment import KnownSteps, SegmentBuilder
from edgekit.converters.lowering.storage import Storage
from edgekit.converters.schedule.facts import Ring
from edgekit.converters.schedule.order import RowLife, demand_order, row_lives
from edgekit.converters.schedule.plan import PlannedPair, PlannedSegment, Repeats
from edgekit.ir import Array, Call, QGraph
from edgekit.program import InputMode, OutputMode


@dataclass(frozen=True, eq=False)
class Source:
    """A model, how its input comes and its output goes, and what of it is there twice."""

    graph: QGraph
    input_mode: InputMode
    output_mode: OutputMode
    repeats: Repeats

    @property
    def arrives(self) -> bool:
        """Whether its input comes from outside."""
        return self.input_mode in ("stream", "pull")


class Segments:
    """Builds segments of a model with given kernels."""

    def __init__(self, source: Source, choices: Mapping[str, Choice]) -> None:
        graph = source.graph
        self._source, self._choices = source, choices
        self.storage = Storage(
            graph,
            choices,
            arena_input=source.arrives or source.input_mode == "overwrite",
            streams_output=source.output_mode == "stream",
            pulled=source.repeats.pulled,
        )
        self._known: KnownSteps = {}
        self.calls: dict[str, Call] = {
            call.node.name: call for call in graph.calls() if call.node.name in choices
        }
        self._accumulating = tuple(
            name
            for name, call in self.calls.items()
            if choices[name].accumulating is not None
            and self.storage.height(self.storage.root_of(call.activations[0].name)) > 1
        )

    def compact(self) -> Segments:
        """The same with compact choices wherever there are some (Choice.compact)."""
        compact = {name: choice.compact or choice for name, choice in self._choices.items()}
        return Segments(self._source, compact)

    def whole_model(self, *, flows: bool, pairs: Sequence[PlannedPair] = ()) -> SegmentBuilder:
        """All layers in one segment, row by row or each at once."""
        graph = self._source.graph
        nodes = tuple(node.name for node in graph.nodes)
        accumulating = self._accumulating if flows else ()
        planned = PlannedSegment("C" if flows else "L", nodes, tuple(pairs), accumulating)
        segment = self._builder(planned)
        if self._source.arrives:
            segment.add_input(graph.inputs[0].tensor)
        for call in graph.calls():
            if call.node.name in self._choices:
                segment.add(call)
            elif call.output.name in self._source.repeats.pulled:
                segment.add_input(call.output.name, call.node.name)
        if self._source.output_mode == "stream":
            segment.add_output(graph.outputs[0].tensor)
        return segment

    def layers(self, first: str, second: str) -> SegmentBuilder:
        """Two layers of a segment that flows."""
        names = (first, second)
        return self._of_layers(PlannedSegment("C", names, (), self._accumulating))

    def pair(self, planned: PlannedPair) -> SegmentBuilder:
        """A pair alone."""
        names = (planned.producer, planned.consumer)
        return self._of_layers(PlannedSegment("C", names, (planned,)))

    def _of_layers(self, planned: PlannedSegment) -> SegmentBuilder:
        segment = self._builder(planned)
        for name in planned.nodes:
            segment.add(self.calls[name])
        return segment

    def _builder(self, planned: PlannedSegment) -> SegmentBuilder:
        return SegmentBuilder(self.storage, self._choices, planned, 0, known=self._known)

    def rings(self, pairs: Sequence[PlannedPair]) -> dict[str, Ring]:
        """The rows that each tensor keeps when the whole model flows, with some pairs."""
        segment = self.whole_model(flows=True, pairs=pairs)
        order = demand_order(segment.units, segment.final_tensors())
        lives = row_lives(segment.units, order)
        last = {
            read.tensor: number for number, unit in enumerate(segment.units) for read in unit.reads
        }
        fired = np.array(order.units, np.int64)
        nothing = Ring(0, passing=True, emptied=True)
        return {unit.output: nothing for unit in segment.units} | {
            tensor: Ring(
                life.capacity,
                passing=life.capacity == 1 and life.longest <= 1,
                emptied=_is_emptied(life, np.flatnonzero(fired > last.get(tensor, len(fired)))),
            )
            for tensor, life in lives.items()
        }


def _is_emptied(life: RowLife, later: Array) -> bool:
    """Whether no row is held at any of the times of ``later``."""
    begins, ends = np.array(life.spans, np.int64).reshape(-1, 2).T
    span = np.searchsorted(begins, later, side="right") - 1
    return bool(((span < 0) | (ends[np.maximum(span, 0)] < later)).all())
