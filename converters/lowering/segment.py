# SPDX-License-Identifier: Apache-2.0
"""The steps of one segment: kernels over rows or maps, their order, and what they keep."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from edgekit.converters.choose import Choice
from edgekit.converters.lowering.overlaps import Placed
from edgekit.converters.lowering.pairs import between_steps, pair_of
from edgekit.converters.lowering.storage import Storage, constant_operand
from edgekit.converters.lowering.tiles import Tile
from edgekit.converters.lowering.units import input_unit, layer_unit, output_unit, pair_unit
from edgekit.converters.schedule.order import Order, Unit, demand_order, row_lives, with_copies
from edgekit.converters.schedule.plan import PlannedPair, PlannedSegment
from edgekit.ir import Call, Tensor
from edgekit.kernel import Binding
from edgekit.layout import NHWC, map_size
from edgekit.ops import operator_of
from edgekit.program import (
    INPUT_STEP,
    OUTPUT_STEP,
    Operand,
    Pair,
    RowLoop,
    Step,
    step_name,
    working_name,
)
from edgekit.window import Axis, Region

KnownSteps = dict[tuple[str, bool, bool], Step]
"""Steps by the name of their node, whether its rows flow, and whether its kernel accumulates."""


class SegmentBuilder:
    """Builds the steps and units of one segment.

    tile: the segment computes one strip or patch; ``storage`` and ``choices`` are then its own.
    known: the steps that builders over the same storage have made, shared by them.
    """

    def __init__(
        self,
        storage: Storage,
        choices: Mapping[str, Choice],
        planned: PlannedSegment,
        first_step: int,
        *,
        tile: Tile | None = None,
        known: KnownSteps | None = None,
    ) -> None:
        self.storage, self._choices, self._planned = storage, choices, planned
        self._tile = tile
        self._first_step = first_step
        self._known: KnownSteps = {} if known is None else known
        self._nodes = frozenset(planned.nodes)
        self._flows = planned.primitive in ("C", "H")
        self.steps: list[Step] = []
        self._names: dict[str, int] = {}
        self.units: list[Unit] = []
        self._unit_steps: list[Step] = []
        self.pairs: list[Pair] = []
        self._hidden: set[str] = set()
        self._leaving: set[str] = set()
        self._waiting: list[int] = []
        self._pair_of = {pair.producer: pair for pair in planned.pairs}
        self._producers = {pair.consumer: pair.producer for pair in planned.pairs}

    def add_input(self, tensor: str, layer: str | None = None) -> None:
        """The step that takes the rows of a streamed input, or (``layer``) reads them once more."""
        row_bytes = self.storage.row_bytes(tensor)
        port = tensor if layer is None else self.storage.graph.inputs[0].tensor
        operand = Operand(port, "model_input", bytes=row_bytes)
        arrives = self._tile.stored[tensor] if self._tile else None
        output = self.storage.operand(tensor, arrives)
        name = layer or step_name(self.storage.graph, INPUT_STEP)
        step = Step(name, INPUT_STEP, port, 0, None, Binding((NHWC,)), (operand,), output)
        self._append(step, input_unit(self.storage, self._index(), tensor))

    def add_copy(self, tensor: str, index: int) -> None:
        source = self.storage.operand(tensor)
        source = dataclasses.replace(source, row_bytes=0, ring_rows=1)
        output = Operand(tensor, "model_output", index=index, bytes=source.bytes)
        name = self._copy_name(index)
        step = Step(name, "copy", tensor, 0, None, Binding((NHWC,)), (source,), output)
        unit = layer_unit(self.storage, self._index(), step)
        unit = dataclasses.replace(unit, output=name)
        self._append(step, unit)

    def _copy_name(self, index: int) -> str:
        return step_name(self.storage.graph, f"copy_to_output_{index}")

    def computes(self, root: str) -> bool:
        return any(unit.output == root for unit in self.units)

    def add_row_copy(self, root: str, index: int) -> None:
        """The step that copies the rows of an output that waits for the end of the input."""
        self._waiting.append(len(self.units))
        self._add_departure(self._copy_name(index), "copy", root, index)

    def add_output(self, tensor: str) -> None:
        """The step that hands over the rows of a streamed output."""
        self._add_departure(step_name(self.storage.graph, OUTPUT_STEP), OUTPUT_STEP, tensor)

    def _add_departure(self, name: str, op: str, tensor: str, index: int = 0) -> None:
        """A step with which the rows of an output leave the arena one by one."""
        source = self.storage.operand(tensor)
        rows = self.storage.height(tensor)
        output = Operand(
            tensor,
            "model_output",
            index=index,
            bytes=source.bytes,
            row_bytes=source.bytes // rows,
            ring_rows=rows,
        )
        step = Step(name, op, tensor, 0, None, Binding((NHWC,)), (source,), output)
        self._append(step, output_unit(self.storage, self._index(), source, name))
        self._leaving.add(self.storage.root_of(tensor))

    def add(self, call: Call) -> None:
        name = call.node.name
        step = self._step(call)
        if name in self._pair_of:
            self._names[name] = self._index()
            self.steps.append(step)
            self._hidden.add(self.storage.root_of(call.output.name))
        elif name in self._producers:
            window = operator_of(call.node).window(call)
            planned = self._pair_of[self._producers[name]]
            self._add_pair(step, planned, window.width if window else None)
        else:
            self._append(step, layer_unit(self.storage, self._index(), step))

    def _index(self) -> int:
        return self._first_step + len(self.steps)

    def _append(self, step: Step, unit: Unit) -> None:
        self._names[step.layer] = self._index()
        self.steps.append(step)
        self.units.append(unit)
        self._unit_steps.append(step)

    def _add_pair(self, consumer: Step, planned: PlannedPair, columns: Axis | None) -> None:
        index = self._names[planned.producer]
        producer = self.steps[index - self._first_step]
        pair = pair_of(planned, producer, consumer, (index, self._index()), columns=columns)
        graph = self.storage.graph
        pair = dataclasses.replace(
            pair,
            kept=working_name(graph, pair.kept) if pair.kept else "",
            tile=working_name(graph, pair.tile) if pair.tile else "",
        )
        unit = pair_unit(self.storage, pair, producer, consumer)
        scratch_bytes = max(producer.scratch_bytes, consumer.scratch_bytes)
        scratch = self._working(planned.consumer, "scratch") if scratch_bytes else None
        producer, consumer = (
            dataclasses.replace(step, scratch=scratch, scratch_bytes=scratch_bytes)
            for step in (producer, consumer)
        )
        between = between_steps(pair, consumer.operands[0])
        self.steps[index - self._first_step] = dataclasses.replace(producer, output=between)
        self._append(dataclasses.replace(consumer, operands=(between,)), unit)
        self.pairs.append(pair)

    def _working(self, layer: str, what: str) -> str:
        return working_name(self.storage.graph, f"{layer}/{what}")

    def _step(self, call: Call) -> Step:
        accumulates = call.node.name in self._planned.accumulating
        key = (call.node.name, self._flows, accumulates)
        if key not in self._known:
            self._known[key] = self._new_step(call, accumulates=accumulates)
        return self._known[key]

    def _new_step(self, call: Call, *, accumulates: bool) -> Step:
        choice = self._choices[call.node.name]
        kernel, binding = choice.kernel, choice.binding
        if accumulates:
            assert choice.accumulating is not None
            kernel = choice.accumulating
        if self._flows:
            binding = dataclasses.replace(binding, flat=False)
        scratch_bytes = kernel.scratch_bytes(call, binding)
        operator = operator_of(call.node)
        operands = tuple(self._operand(call, t) for t in operator.runtime_operands(call))
        step = Step(
            layer=call.node.name,
            op=call.node.op,
            source=call.node.source,
            macs=operator.macs(call),
            kernel=kernel,
            binding=binding,
            operands=operands,
            output=self.storage.operand(call.output.name, self._computed(call)),
            scratch=self._working(call.node.name, "scratch") if scratch_bytes else None,
            scratch_bytes=scratch_bytes,
            fill=_zero_point(call.output) if binding.output.kind == "row_planar" else None,
            padding_value=_zero_point(call.inputs[0]) if kernel.needs_padding_row else None,
            call=call,
        )
        return _with_loop(step, call) if kernel.kind == "rows" else step

    def _operand(self, call: Call, tensor: Tensor) -> Operand:
        if tensor.is_constant:
            return constant_operand(tensor)
        seen = self._tile.seen[call.node.name, tensor.name] if self._tile else None
        return self.storage.operand(tensor.name, seen)

    def _computed(self, call: Call) -> Region | None:
        """The region of its output that a layer of a tile computes."""
        if self._tile is None:
            return None
        return self._tile.stored.get(call.output.name, self._tile.region)

    def final_tensors(self) -> list[str]:
        """The tensors that the segment must complete: nothing in it reads them, or others do too."""
        demanding = [u for number, u in enumerate(self.units) if number not in self._waiting]
        read = {read.tensor for unit in demanding for read in unit.reads}
        outputs = dict.fromkeys(unit.output for unit in demanding)
        return [t for t in outputs if t not in read or self._must_be_whole(t)]

    def placed(self) -> Placed:
        """Order the rows, and keep as many of each tensor as that needs."""
        storage = self.storage
        order = demand_order(self.units, self.final_tensors())
        if self._waiting:
            arrival = self._names[step_name(self.storage.graph, INPUT_STEP)] - self._first_step
            order = with_copies(self.units, order, self._waiting, behind=arrival)
        lives = row_lives(self.units, order)
        rings = {
            tensor: life.capacity
            for tensor, life in lives.items()
            if self._can_be_ring(tensor) and life.capacity < storage.height(tensor)
        }
        steps = [self._with_rings(step, rings) for step in self.steps]
        steps_of_units = {step.layer: step for step in steps}
        return Placed(
            steps,
            self.pairs,
            self.units,
            [steps_of_units[step.layer] for step in self._unit_steps],
            order,
            lives,
            [t for t in lives if t in storage.graph.tensors and t not in rings],
            {tensor: rows * storage.row_bytes(tensor) for tensor, rows in rings.items()},
            self._working_buffers(order),
            self._macs_executed(order),
        )

    def _must_be_whole(self, root: str) -> bool:
        """Whether something outside the segment reads a tensor."""
        if root not in self.storage.graph.tensors:
            return True
        storage = self.storage
        returned = storage.is_handed_over(root) or storage.is_copied(root)
        if returned and root not in self._leaving:
            return True
        return not storage.in_arena(root) or storage.is_read_besides(root, self._nodes)

    def _can_be_ring(self, root: str) -> bool:
        if not self._flows or root not in self.storage.graph.tensors:
            return False
        return not self._must_be_whole(root) and self.storage.has_plain_rows(root)

    def _with_rings(self, step: Step, rings: Mapping[str, int]) -> Step:
        def resized(operand: Operand) -> Operand:
            root = operand.buffer
            if operand.place != "arena" or root not in rings:
                return operand
            size = rings[root] * self.storage.row_bytes(root)
            return dataclasses.replace(operand, ring_rows=rings[root], bytes=size)

        return dataclasses.replace(
            step,
            operands=tuple(resized(operand) for operand in step.operands),
            output=resized(step.output),
        )

    def _working_buffers(self, order: Order) -> dict[str, tuple[int, Sequence[int]]]:
        """Scratch lives while its step fires; sums and kept rows from the first firing to the last."""
        times: dict[str, list[int]] = {}
        for time, (unit, number) in enumerate(zip(order.units, order.numbers, strict=True)):
            index = self.units[unit].firings[number][0]
            times.setdefault(self.steps[index - self._first_step].layer, []).append(time)
        found: dict[str, tuple[int, Sequence[int]]] = {}
        paired = {pair.producer: pair for pair in self.pairs}
        paired |= {pair.consumer: pair for pair in self.pairs}
        for index, step in enumerate(self.steps, start=self._first_step):
            used = times.get(step.layer, [])
            if step.scratch and used:
                assert step.kernel is not None
                lasting = range(used[0], used[-1] + 1) if step.kernel.accumulates else used
                before = found.get(step.scratch, (0, ()))[1]
                found[step.scratch] = step.scratch_bytes, sorted({*before, *lasting})
            if index in paired and paired[index].consumer == index:
                found |= _pair_buffers(paired[index], self.steps, self._first_step, times)
        return found

    def _macs_executed(self, order: Order) -> int:
        fired = [0] * len(self.units)
        for unit in order.units:
            fired[unit] += 1
        total = sum(
            step.macs * fired[number] // len(self.units[number].firings)
            for number, step in enumerate(self._unit_steps)
            if step.layer not in self._producers
        )
        return total + sum(self.pair_macs(pair) for pair in self.pairs)

    def pair_macs(self, pair: Pair) -> int:
        """Multiply-accumulates of a pair, rows that are computed again counted again."""
        producer = self.steps[pair.producer - self._first_step]
        consumer = self.steps[pair.consumer - self._first_step]
        assert producer.loop is not None and consumer.loop is not None
        if pair.whole_map:
            windows = map(consumer.loop.rows_of, range(consumer.loop.output_height))
            rows = len({row for window in windows for row in window})
        else:
            rows = sum(len(made) for made in pair.new_rows(consumer.loop))
        return consumer.macs + producer.macs * rows // producer.loop.output_height


def _pair_buffers(
    pair: Pair, steps: Sequence[Step], first_step: int, times: Mapping[str, list[int]]
) -> dict[str, tuple[int, Sequence[int]]]:
    producer, consumer = (steps[i - first_step] for i in (pair.producer, pair.consumer))
    used = sorted([*times.get(producer.layer, []), *times.get(consumer.layer, [])])
    found: dict[str, tuple[int, Sequence[int]]] = {}
    if pair.kept and used:
        found[pair.kept] = pair.kept_bytes, range(used[0], used[-1] + 1)
    if pair.tile and used:
        found[pair.tile] = pair.tile_bytes, times[consumer.layer]
    return found


def _zero_point(tensor: Tensor) -> int:
    assert tensor.quantization is not None
    return tensor.quantization.zero_point


def _with_loop(step: Step, call: Call) -> Step:
    operator = operator_of(call.node)
    height, width, channels = map_size(call.output.shape)
    operands = operator.runtime_operands(call)
    input_height = max(map_size(tensor.shape)[0] for tensor in operands)
    assert step.kernel is not None
    if step.binding.flat:
        loop = RowLoop(Axis(1), 1, 1, height * width, channels)
    elif step.kernel.accumulates:
        loop = RowLoop(Axis(1), input_height, input_height, width, channels)
    else:
        rows = operator.row_map(call) or Axis(1)
        loop = RowLoop(rows, input_height, height, width, channels)
    return dataclasses.replace(
        step,
        loop=loop,
        operands=tuple(_by_rows(operand, loop) for operand in step.operands),
        output=_by_rows(step.output, loop),
    )


def _by_rows(operand: Operand, loop: RowLoop) -> Operand:
    """An operand of height 1 repeats its row; a flat step sees one row."""
    flat = loop.input_height == loop.output_height == 1
    if flat or operand.ring_rows == 1:
        row_bytes = operand.row_bytes if operand.region else 0
        return dataclasses.replace(operand, row_bytes=row_bytes, ring_rows=1)
    return operand
