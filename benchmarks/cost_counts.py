# SPDX-License-Identifier: Apache-2.0
"""Counts chosen kernels over chosen layers on an emulated core, many in one program."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cost_layers import CLAMPS, DESIGNS, SHAPES, layers_of, weighted_call

from edgekit.artifact import write_project
from edgekit.converters.allocate import allocate
from edgekit.converters.choose import Choice
from edgekit.converters.lowering.lower import lower
from edgekit.converters.schedule.costs import ROW_CALL
from edgekit.converters.schedule.plan import Plan, PlannedSegment
from edgekit.converters.schedule.plan_file import plan_text
from edgekit.costs import Costs
from edgekit.emit.sources import EmitOptions, emit
from edgekit.ir import Call, Node, Port, QGraph, Tensor
from edgekit.kernel import Binding, Kernel
from edgekit.layout import NHWC, Layout, map_size, row_planar
from edgekit.ops import operator_of, operators
from edgekit.ops._dsp_depthwise import DSP_3X3S1
from edgekit.ops._dsp_pointwise import DSP_4X2
from edgekit.ops.conv2d import Conv2d
from edgekit.ops.depthwise_conv2d import DepthwiseConv2d
from edgekit.program import MAX_MAPS, MAX_ROWS, Program
from edgekit.reference import PLAN_FILE
from edgekit.runners.profile import profile_run
from edgekit.target import Target
from edgekit.version import VERSION
from edgekit.window import Axis, Window

BATCH = 120
"""Layers of one program."""
MAX_DESIGNED, MAX_SHAPED, MAX_LAYERS = 300, 60, 32
"""Of one kernel of an operator with designed layers, with shapes of its own, and of any other one."""
PRODUCER_CHANNELS = 4
NO_COSTS = Costs({})
TIMEOUT_SECONDS = 600.0


@dataclass(frozen=True, eq=False)
class Trial:
    """One kernel over one layer."""

    kernel: Kernel
    call: Call


@dataclass(frozen=True, eq=False)
class Count:
    """What a trial executed, and how much of that the driver's calls are taken to be."""

    trial: Trial
    instructions: int
    driver: float


def trials(isa: Sequence[str], *, words: Sequence[str] = ("",)) -> list[Trial]:
    """Every layer for every kernel of a target that has coefficients of its own."""
    found: list[Trial] = []
    seen: set[str] = set()
    for operator in operators().values():
        kernels = [
            k
            for k in operator.kernels
            if k.isa in isa and k.costs_as is None and any(word in k.symbol for word in words)
        ]
        layers = list(layers_of(operator)) if kernels else []
        for kernel in kernels:
            if kernel.symbol not in seen:
                found += _of_kernel(kernel, layers)
        seen |= {kernel.symbol for kernel in kernels}
    return found


def _of_kernel(kernel: Kernel, layers: Sequence[Call]) -> list[Trial]:
    """Layers that differ in what the kernel counts, the designed ones first."""
    served = {}
    for call in layers:
        if _serves(kernel, call):
            served.setdefault(tuple(sorted(kernel.features(call).items())), Trial(kernel, call))
    found = list(served.values())
    op = layers[0].node.op
    most = MAX_DESIGNED if op in DESIGNS else MAX_SHAPED if op in SHAPES else MAX_LAYERS
    return found[:: -(-len(found) // most)] if found else []


def _serves(kernel: Kernel, call: Call) -> bool:
    operator = operator_of(call.node)
    operands = len(operator.runtime_operands(call))
    row_map = operator.row_map(call)
    if kernel.kind == "map" and operands > MAX_MAPS:
        return False
    by_rows = kernel.kind == "rows" and not kernel.accumulates
    if by_rows and (row_map is None or operands * row_map.kernel > MAX_ROWS):
        return False
    if kernel.accumulates and map_size(call.activations[0].shape)[0] < 2:
        return False
    return kernel.refusal(call) is None


def count(found: Sequence[Trial], target: Target) -> Iterator[Count]:
    """The exact instructions of every trial."""
    for start in range(0, len(found), BATCH):
        yield from _count_batch(found[start : start + BATCH], target)


def _count_batch(batch: Sequence[Trial], target: Target) -> Iterator[Count]:
    model = _Model()
    for number, trial in enumerate(batch):
        model.add(number, trial)
    program = model.program()
    image = allocate(program)
    options = EmitOptions("costs", target, VERSION, 0)
    sources = emit(image, options, {PLAN_FILE: plan_text(model.plan())})
    with tempfile.TemporaryDirectory(prefix="edgekit-costs-") as folder:
        directory = Path(folder) / "costs"
        write_project(sources, directory)
        profile, _ = profile_run(directory, target, timeout_seconds=TIMEOUT_SECONDS)
    counted = {layer.name: layer.instructions for layer in profile.layers}
    steps = {step.layer: step for step in program.steps}
    for number, trial in enumerate(batch):
        name = _name(number)
        loop = steps[name].loop
        rows = loop.output_height if loop else 1
        yield Count(trial, counted[name], ROW_CALL * rows)


def _name(number: int) -> str:
    return f"layer{number}"


class _Model:
    """A model of independent layers, each with the kernel that its trial names."""

    def __init__(self) -> None:
        self._tensors: dict[str, Tensor] = {}
        self._nodes: list[Node] = []
        self._inputs: list[str] = []
        self._outputs: list[str] = []
        self._choices: dict[str, Choice] = {}

    def add(self, number: int, trial: Trial) -> None:
        kernel, call = trial.kernel, trial.call
        name = _name(number)
        layouts = kernel.input_layouts(call)
        sources = []
        for position, (tensor, layout) in enumerate(zip(call.activations, layouts, strict=True)):
            source = self._source(f"{name}_in{position}", tensor, layout)
            sources.append(source)
        output = NHWC
        if kernel.writes == ("row_planar",):
            output = row_planar(width=call.output.shape[2], kernel=3, pad_left=1)
        flat = kernel.flat and output == NHWC and operator_of(call.node).flattens(call)
        binding = Binding(layouts, output, flat)
        result = self._node(name, call, sources, Choice(kernel, binding, None, NO_COSTS))
        if kernel.accumulates:
            plain = Choice(_plain(kernel, call), Binding(layouts), kernel, NO_COSTS)
            self._choices[name] = plain
        if output != NHWC:
            result = self._reader(name, result, output)
        self._outputs.append(result.name)

    def _source(self, name: str, tensor: Tensor, layout: Layout) -> Tensor:
        """A model input, or the output of a 1x1 convolution that writes the layout."""
        if layout == NHWC:
            return self._input(dataclasses.replace(tensor, name=name))
        shape = (*tensor.shape[:3], PRODUCER_CHANNELS)
        point = Conv2d(Window(Axis(1), Axis(1)))
        call = weighted_call("conv2d", shape, tensor.shape[3], attributes=point, clamp=CLAMPS[0])
        source = self._input(dataclasses.replace(call.activations[0], name=f"{name}_x"))
        choice = Choice(DSP_4X2, Binding((NHWC,), layout), None, NO_COSTS)
        return self._node(f"{name}_producer", call, [source], choice)

    def _reader(self, name: str, tensor: Tensor, layout: Layout) -> Tensor:
        """The depthwise convolution behind a kernel that writes row-planar rows."""
        axis = Axis(3, 1, 1, 1, 1)
        call = weighted_call(
            "depthwise_conv2d",
            tensor.shape,
            tensor.shape[3],
            attributes=DepthwiseConv2d(Window(axis, axis)),
            clamp=CLAMPS[0],
        )
        choice = Choice(DSP_3X3S1, Binding((layout,)), None, NO_COSTS)
        return self._node(f"{name}_reader", call, [tensor], choice)

    def _input(self, tensor: Tensor) -> Tensor:
        self._inputs.append(tensor.name)
        self._tensors[tensor.name] = tensor
        return tensor

    def _node(self, name: str, call: Call, sources: Sequence[Tensor], choice: Choice) -> Tensor:
        left = list(sources)
        names = []
        for position, tensor in enumerate(call.inputs):
            if tensor.is_constant:
                renamed = dataclasses.replace(tensor, name=f"{name}_c{position}")
                self._tensors[renamed.name] = renamed
            else:
                renamed = left.pop(0)
            names.append(renamed.name)
        output = dataclasses.replace(call.output, name=f"{name}_out")
        self._tensors[output.name] = output
        node = dataclasses.replace(
            call.node, name=name, inputs=tuple(names), outputs=(output.name,)
        )
        self._nodes.append(node)
        self._choices[name] = choice
        return output

    def _graph(self) -> QGraph:
        inputs, outputs = (
            tuple(Port(name, name, self._tensors[name].shape) for name in names)
            for names in (self._inputs, self._outputs)
        )
        return QGraph(self._tensors, tuple(self._nodes), inputs, outputs, name="costs").verify()

    def plan(self) -> Plan:
        """Layer by layer; an accumulating kernel takes its rows in a segment of its own."""
        segments = []
        for node in self._nodes:
            sums = self._choices[node.name].accumulating is not None
            primitive, accumulating = ("C", (node.name,)) if sums else ("L", ())
            segments.append(PlannedSegment(primitive, (node.name,), (), accumulating))
        return Plan(self._graph(), tuple(segments)).verify()

    def program(self) -> Program:
        return lower(self.plan(), self._choices)


def _plain(kernel: Kernel, call: Call) -> Kernel:
    """Any kernel that takes whole maps: a layer with an accumulating one has it besides."""
    return next(
        other
        for other in operator_of(call.node).kernels
        if not other.accumulates and other.refusal(call) is None
    )
