# SPDX-License-Identifier: Apache-2.0
"""Choose kernels and layouts for a planned model and turn it into steps over buffers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgekit.converters.schedule.plan import Plan
from edgekit.errors import UnsupportedError
from edgekit.ir import DTYPE_BYTES, Call, QGraph, Tensor
from edgekit.kernel import BY_ELEMENT, Binding, Kernel
from edgekit.layout import NHWC, Layout, map_size
from edgekit.ops import operator_of
from edgekit.program import (
    MAX_OPERANDS,
    MAX_ROWS,
    Buffer,
    Operand,
    Overlap,
    Program,
    RowLoop,
    Segment,
    Step,
)
from edgekit.target import Target
from edgekit.window import Axis, Window


def lower(plan: Plan, target: Target, *, kernels: str = "auto") -> Program:
    """The steps of a plan, and the buffers they work on.

    kernels: "auto" takes the cheapest kernel of the target's instruction sets, "reference" the
    plain C ones.

    Raises:
        UnsupportedError: no kernel serves a layer; all such layers are named.
    """
    graph = plan.graph
    isa = ("ref",) if kernels == "reference" else target.isa
    chosen = _choose_kernels(graph, isa)
    bindings = _choose_layouts(graph, chosen)
    return _Lowering(plan, bindings).program()


@dataclass(frozen=True)
class _Choice:
    kernel: Kernel
    binding: Binding


def _candidates(call: Call, isa: Sequence[str]) -> list[Kernel]:
    """The kernels that accept a call, cheapest first."""
    found = [
        kernel
        for kernel in operator_of(call.node).kernels
        if kernel.isa in isa and _refusal(call, kernel) is None
    ]
    return sorted(found, key=lambda kernel: (kernel.instructions(call), kernel.symbol))


def _refusal(call: Call, kernel: Kernel) -> str | None:
    """Why a kernel cannot serve a call, or None; the row driver holds MAX_ROWS pointers."""
    operator = operator_of(call.node)
    window = operator.window(call)
    operands = len(operator.runtime_operands(call))
    rows = operands * (window.height.kernel if window else 1)
    if kernel.kind == "rows" and operands > MAX_OPERANDS:
        return f"{operands} operands are more than {MAX_OPERANDS}; split the node"
    if kernel.kind == "rows" and rows > MAX_ROWS:
        return f"its window spans {rows} rows, more than {MAX_ROWS}; use a smaller kernel"
    return kernel.refusal(call)


def _choose_kernels(graph: QGraph, isa: Sequence[str]) -> dict[str, list[Kernel]]:
    problems = []
    chosen = {}
    for call in graph.calls():
        if operator_of(call.node).is_view:
            continue
        chosen[call.node.name] = _candidates(call, isa)
        if not any(_reads_nhwc_only(call, kernel) for kernel in chosen[call.node.name]):
            served = (k for k in operator_of(call.node).kernels if k.isa in isa)
            reasons = {_refusal(call, kernel) for kernel in served} - {None}
            detail = "; ".join(sorted(str(reason) for reason in reasons)) or "no kernel serves it"
            problems.append(f"{call.node}: {detail}")
    if problems:
        raise UnsupportedError(*problems)
    return chosen


def _reads_nhwc_only(call: Call, kernel: Kernel) -> bool:
    return all(layout == NHWC for layout in kernel.input_layouts(call))


def _choose_layouts(graph: QGraph, candidates: Mapping[str, list[Kernel]]) -> dict[str, _Choice]:
    """The cheapest kernel whose input layout its producers can write, for every node."""
    consumers, producers = graph.consumers(), graph.producer()
    ports = {port.tensor for port in (*graph.inputs, *graph.outputs)}
    kernels: dict[str, Kernel] = {}
    layouts: dict[str, Layout] = {}

    def can_be_planar(tensor: Tensor) -> bool:
        producer = producers.get(tensor.name)
        if producer is None or producer.name not in kernels or tensor.name in ports:
            return False
        return len(consumers[tensor.name]) == 1 and "row_planar" in kernels[producer.name].writes

    for call in graph.calls():
        for kernel in candidates.get(call.node.name, ()):
            wanted = dict(zip(call.activations, kernel.input_layouts(call), strict=True))
            if all(layout == NHWC or can_be_planar(t) for t, layout in wanted.items()):
                kernels[call.node.name] = kernel
                layouts.update((tensor.name, layout) for tensor, layout in wanted.items())
                break
    return {
        call.node.name: _Choice(
            kernels[call.node.name], _binding(call, kernels[call.node.name], layouts)
        )
        for call in graph.calls()
        if call.node.name in kernels
    }


def _binding(call: Call, kernel: Kernel, layouts: Mapping[str, Layout]) -> Binding:
    inputs = tuple(layouts.get(tensor.name, NHWC) for tensor in call.activations)
    output = layouts.get(call.output.name, NHWC)
    nhwc = all(layout == NHWC for layout in (*inputs, output))
    return Binding(inputs, output, kernel.flat and nhwc and operator_of(call.node).flattens(call))


class _Lowering:
    """Builds the steps of one graph; tensors that are views share the storage of their root."""

    def __init__(self, plan: Plan, choices: Mapping[str, _Choice]) -> None:
        self._plan = plan
        self._graph = graph = plan.graph
        self._choices = choices
        self._root: dict[str, str] = {}
        for node in graph.nodes:
            if operator_of(node).is_view:
                self._root[node.outputs[0]] = self._root_of(node.inputs[0])
        self._input_ports = {port.tensor: i for i, port in enumerate(graph.inputs)}
        self._output_ports: dict[str, int] = {}
        self._copies: list[tuple[str, int]] = []
        for index, port in enumerate(graph.outputs):
            root = self._root_of(port.tensor)
            fixed = root in self._input_ports or graph.tensors[root].is_constant
            if fixed or root in self._output_ports:
                self._copies.append((port.tensor, index))
            else:
                self._output_ports[root] = index
        self._layouts = {
            call.output.name: choices[call.node.name].binding.output
            for call in graph.calls()
            if call.node.name in choices
        }

    def _root_of(self, tensor: str) -> str:
        return self._root.get(tensor, tensor)

    def program(self) -> Program:
        steps = [self._step(c) for c in self._graph.calls() if c.node.name in self._choices]
        steps += [self._copy(tensor, index) for tensor, index in self._copies]
        buffers = _buffers(steps)
        program = Program(
            self._graph,
            tuple(steps),
            buffers,
            tuple(_overlaps(steps, {buffer.name: buffer for buffer in buffers})),
            tuple(self._segments(steps)),
        )
        return program.verify()

    def _segments(self, steps: Sequence[Step]) -> Iterator[Segment]:
        """The plan's segments as ranges of steps; the copies behind the last layer go with it."""
        first = 0
        for number, segment in enumerate(self._plan.segments, start=1):
            is_last = number == len(self._plan.segments)
            count = sum(1 for step in steps if step.layer in set(segment.nodes))
            end = len(steps) if is_last else first + count
            if end > first:
                yield Segment(segment.primitive, first, end - 1)
            first = end

    def _operand(self, name: str) -> Operand:
        tensor = self._graph.tensors[name]
        root = self._root_of(name)
        layout = self._layouts.get(root, NHWC)
        height, width, channels = map_size(tensor.shape)
        pitch = layout.row_bytes(width, channels, element_bytes=DTYPE_BYTES[tensor.dtype])
        operand = Operand(
            name, "arena", root, bytes=pitch * height, layout=layout, pixels=height * width
        )
        if tensor.is_constant:
            return dataclasses.replace(operand, place="constant", buffer="", data=tensor.data)
        if root in self._input_ports:
            index = self._input_ports[root]
            return dataclasses.replace(operand, place="model_input", buffer="", index=index)
        if root in self._output_ports:
            index = self._output_ports[root]
            return dataclasses.replace(operand, place="model_output", buffer="", index=index)
        return operand

    def _step(self, call: Call) -> Step:
        choice = self._choices[call.node.name]
        kernel, binding = choice.kernel, choice.binding
        scratch_bytes = kernel.scratch_bytes(call, binding)
        operator = operator_of(call.node)
        window = operator.window(call)
        step = Step(
            layer=call.node.name,
            op=call.node.op,
            source=call.node.source,
            macs=operator.macs(call),
            kernel=kernel,
            struct=kernel.pack(call, binding),
            binding=binding,
            operands=tuple(self._operand(t.name) for t in operator.runtime_operands(call)),
            output=self._operand(call.output.name),
            scratch=f"{call.node.name}/scratch" if scratch_bytes else None,
            scratch_bytes=scratch_bytes,
            fill=_zero_point(call.output) if binding.output.kind == "row_planar" else None,
            padding_value=_zero_point(call.inputs[0]) if kernel.needs_padding_row else None,
        )
        return self._with_loop(step, call, window) if kernel.kind == "rows" else step

    def _with_loop(self, step: Step, call: Call, window: Window | None) -> Step:
        height, width, channels = map_size(call.output.shape)
        loop = RowLoop(1, 1, height * width, channels, 1, 1, 1, 0)
        if not step.binding.flat:
            axis = window.height if window else Axis(1)
            operands = operator_of(call.node).runtime_operands(call)
            input_height = max(map_size(tensor.shape)[0] for tensor in operands)
            loop = RowLoop(
                input_height,
                height,
                width,
                channels,
                axis.kernel,
                axis.stride,
                axis.dilation,
                axis.pad_before,
                axis.upsampling,
            )
        return dataclasses.replace(
            step,
            loop=loop,
            operands=tuple(self._pitched(operand, loop) for operand in step.operands),
            output=self._pitched(step.output, loop),
        )

    def _pitched(self, operand: Operand, loop: RowLoop) -> Operand:
        height = map_size(self._graph.tensors[operand.tensor].shape)[0]
        repeats = height == 1 or (loop.input_height == 1 and loop.output_height == 1)
        return dataclasses.replace(operand, row_bytes=0 if repeats else operand.bytes // height)

    def _copy(self, tensor: str, index: int) -> Step:
        source = self._operand(tensor)
        target = Operand(tensor, "model_output", index=index, bytes=source.bytes)
        return Step(
            layer=f"copy_to_output_{index}",
            op="copy",
            source=tensor,
            macs=0,
            kernel=None,
            struct=None,
            binding=Binding((NHWC,)),
            operands=(source,),
            output=target,
        )


def _zero_point(tensor: Tensor) -> int:
    assert tensor.quantization is not None
    return tensor.quantization.zero_point


def _buffers(steps: Sequence[Step]) -> tuple[Buffer, ...]:
    """Arena buffers with their lives, in order of definition; scratch lives for one step."""
    found: dict[str, Buffer] = {}
    for index, step in enumerate(steps):
        for operand in (*step.operands, step.output):
            if operand.place == "arena":
                before = found.get(operand.buffer)
                first = before.first if before else index
                size = max(operand.bytes, before.bytes if before else 0)
                found[operand.buffer] = Buffer(operand.buffer, size, first, index)
        if step.scratch:
            found[step.scratch] = Buffer(step.scratch, step.scratch_bytes, index, index)
    return tuple(found.values())


def _overlaps(steps: Sequence[Step], buffers: Mapping[str, Buffer]) -> list[Overlap]:
    found: list[Overlap] = []
    for index, step in enumerate(steps):
        before = len(found)
        if step.kernel is None or step.kernel.write_behind is None or step.output.place != "arena":
            continue
        output = buffers[step.output.buffer]
        operands = [operand for operand in step.operands if operand.place == "arena"]
        for name in dict.fromkeys(operand.buffer for operand in operands):
            dies = buffers[name].last == index
            if dies and output.first == index and name != output.name:
                views = [_chase_distance(step, o) for o in operands if o.buffer == name]
                distances = [distance for distance in views if distance is not None]
                if len(distances) == len(views):
                    found.append(Overlap(output.name, name, max(distances)))
        if len(found) == before + 1 and len(operands) == 1:
            bottom_up = _bottom_up_distance(step, operands[0])
            found[-1] = dataclasses.replace(found[-1], distance_bottom_up=bottom_up)
    return found


def _chase_distance(step: Step, operand: Operand) -> int | None:
    """Least input offset - output offset at which the output never overwrites unread input."""
    assert step.kernel is not None and step.kernel.write_behind is not None
    behind = step.kernel.write_behind
    if step.kernel.kind == "map" or (behind.grain and step.binding.flat):
        if behind.grain is None:
            return None
        if operand.pixels != step.output.pixels:
            return None
        if behind == BY_ELEMENT and operand.bytes != step.output.bytes:
            return None  # an element that repeats is read again after its first use
        pixels = step.output.pixels if step.loop else step.output.bytes
        return _pixel_distance(
            pixels,
            step.output.bytes // pixels,
            operand.bytes // pixels,
            behind.grain,
            behind.buffered,
        )
    assert step.loop is not None
    loop = step.loop
    if operand.row_bytes == 0 and loop.input_height > 1:
        return None
    read, written = operand.bytes // loop.input_height, step.output.bytes // loop.output_height
    return _row_distance(loop, read, written)


def _row_distance(loop: RowLoop, read: int, written: int) -> int:
    """The same for a kernel that goes over rows (bytes each); a row may read where it writes."""
    distance = -(loop.input_height * read)
    needed = loop.input_height
    for y in reversed(range(loop.output_height)):
        needed = min([needed, *loop.rows_of(y)])
        if needed < loop.input_height:
            distance = max(distance, (y + 1) * written - needed * read)
    return distance


def _bottom_up_distance(step: Step, operand: Operand) -> int | None:
    """Least output offset - input offset where the last row is computed first, or None."""
    loop = step.loop
    if loop is None or step.binding.flat or loop.output_height == 1:
        return None
    read, written = operand.bytes // loop.input_height, step.output.bytes // loop.output_height
    distance = -(loop.output_height * written)
    unread = 0
    for y in range(loop.output_height):
        unread = max([unread, *(row + 1 for row in loop.rows_of(y))])
        if unread > 0:
            distance = max(distance, unread * read - y * written)
    return distance


def _pixel_distance(pixels: int, written: int, read: int, grain: int, buffered: bool) -> int:
    """The same for a kernel that goes over ``pixels`` in order, ``grain`` at a time (bytes each)."""
    distance = -(pixels * read)
    for start in range(0, pixels, grain):
        end = min(start + grain, pixels)
        needed = end if buffered else start
        if needed < pixels:
            distance = max(distance, end * written - needed * read)
    return distance
