# SPDX-License-Identifier: Apache-2.0
"""Instructions per MAC of typical layers on emulated cores, beside the goals and CMSIS-NN's figures.

``python benchmarks/kernels.py`` measures whatever kernels the conversion picks, everything that a
layer costs included, and proves every layer bit-exact; it ends with 1 where one is not.
``--core cortex-m4`` measures one core, words (``conv depthwise``) only the layers with one of them
in their names. CMSIS-NN 7.0's figures are those of its best flags, gcc 12.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.artifact import write_project
from edgekit.converters.choose import choose
from edgekit.converters.plan_model import Budget
from edgekit.converters.schedule.layerwise import layer_costs
from edgekit.interpret import interpret
from edgekit.ir import Call, Node, Port, QGraph, Quantization, Shape, Tensor, constant
from edgekit.ops import operators
from edgekit.ops._weighted import WeightedArithmetic
from edgekit.ops.add import Add
from edgekit.ops.conv2d import Conv2d
from edgekit.ops.depthwise_conv2d import DepthwiseConv2d
from edgekit.ops.fully_connected import FullyConnected
from edgekit.pipeline import ConvertOptions, IntegerModel, convert_model
from edgekit.runners.profile import profile_run, seeded_sample
from edgekit.target import Target, load_target
from edgekit.window import Axis, Window

CORES = ("cortex-m4", "cortex-m7", "cortex-m55")
INPUT_ZERO_POINT, OUTPUT_ZERO_POINT = -128, -128
PRODUCER_CHANNELS = 4
WIDTH = 15
"""Of a column of the table."""
TYPICAL_WEIGHT = TYPICAL_INPUT = 74.0
SPREAD = 40.0
"""Standard deviation of the outputs before the clamp, for which the shifts are chosen."""


@dataclass(frozen=True)
class Figures:
    """Instructions per MAC (per element of add) on one core; None: no figure is known."""

    goal: float | None = None
    cmsis_nn: float | None = None


@dataclass(frozen=True)
class Layer:
    """One line of the table: an operator over a map (height, width, channels), or a vector.

    behind_pointwise: a 1x1 convolution that is not counted writes its input, in the layout that
    its kernel asks for, as in a network.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    outputs: int
    attributes: Any
    figures: dict[str, Figures]
    behind_pointwise: bool = False


def _figures(m4: tuple[float, float | None], m55: tuple[float, float | None]) -> dict[str, Figures]:
    return {"cortex-m4": Figures(*m4), "cortex-m55": Figures(*m55)}


def _pointwise(inputs: int, outputs: int, size: int, figures: dict[str, Figures]) -> Layer:
    name = f"pointwise {inputs}->{outputs} @{size}x{size}"
    window = Window(Axis(1), Axis(1))
    return Layer(name, "conv2d", (size, size, inputs), outputs, Conv2d(window), figures)


def _conv_3x3(channels: int, size: int, figures: dict[str, Figures]) -> Layer:
    same = Axis(3, 1, 1, 1, 1)
    name = f"conv 3x3 {channels} channels @{size}x{size}"
    attributes = Conv2d(Window(same, same))
    return Layer(name, "conv2d", (size, size, channels), channels, attributes, figures)


def _depthwise(
    kernel: int, stride: int, width: int, channels: int, figures: dict[str, Figures]
) -> Layer:
    total = kernel - stride if width % stride == 0 else kernel - 1
    axis = Axis(kernel, stride, 1, total // 2, total - total // 2)
    name = f"depthwise {kernel}x{kernel} s{stride} W={width} {channels} channels"
    attributes, shape = DepthwiseConv2d(Window(axis, axis)), (width, width, channels)
    return Layer(name, "depthwise_conv2d", shape, channels, attributes, figures, True)


FIRST = Axis(3, 2, 1, 0, 1)
KWS = Window(Axis(10, 2, 1, 4, 5), Axis(4, 2, 1, 1, 1))
LAYERS = (
    _pointwise(32, 32, 24, _figures((1.15, 2.70), (0.42, 0.62))),
    _pointwise(64, 64, 12, _figures((1.00, 2.08), (0.28, 0.39))),
    _pointwise(128, 128, 6, _figures((0.90, 1.83), (0.20, 0.28))),
    _pointwise(8, 16, 48, _figures((2.3, 6.63), (1.5, 2.18))),
    _conv_3x3(16, 32, _figures((0.92, 2.33), (0.28, 0.39))),
    _conv_3x3(32, 16, _figures((0.92, 1.93), (0.21, 0.25))),
    _conv_3x3(64, 8, _figures((0.92, 1.76), (0.17, 0.21))),
    Layer(
        "first conv 3x3 s2 3->8 @96x96",
        "conv2d",
        (96, 96, 3),
        8,
        Conv2d(Window(FIRST, FIRST)),
        _figures((1.8, 6.16), (1.0, 1.99)),
    ),
    Layer(
        "KWS conv 10x4 s2 1->64 @49x10",
        "conv2d",
        (49, 10, 1),
        64,
        Conv2d(KWS),
        _figures((1.3, 3.47), (0.6, 0.90)),
    ),
    Layer("add 24x24x32", "add", (24, 24, 32), 32, Add(), _figures((12.0, None), (5.0, None))),
    _depthwise(3, 1, 18, 32, _figures((1.95, 8.9), (1.0, 2.7))),
    _depthwise(3, 1, 9, 64, _figures((2.2, 8.9), (1.0, 2.7))),
    _depthwise(3, 1, 5, 64, _figures((2.4, 8.9), (1.0, 2.7))),
    _depthwise(3, 2, 36, 32, _figures((2.4, 9.3), (1.2, 3.5))),
    _depthwise(3, 2, 18, 32, _figures((2.6, 9.3), (1.2, 3.5))),
    _depthwise(3, 2, 9, 64, _figures((2.8, 9.3), (1.2, 3.5))),
    _depthwise(5, 1, 18, 32, _figures((1.6, 9.0), (0.9, 1.6))),
    _depthwise(7, 1, 18, 32, _figures((1.5, 7.5), (0.9, 1.4))),
    Layer(
        "fully connected 640->128",
        "fully_connected",
        (640,),
        128,
        FullyConnected(),
        _figures((1.1, 2.3), (0.35, 0.5)),
    ),
)


class _Model:
    """A model of independent layers, built node by node."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)
        self._tensors: dict[str, Tensor] = {}
        self._nodes: list[Node] = []
        self._inputs: list[str] = []
        self._outputs: list[str] = []

    def add(self, number: int, layer: Layer) -> None:
        shape = (1, *layer.shape)
        if layer.behind_pointwise:
            source = self._input(f"x{number}", (*shape[:-1], PRODUCER_CHANNELS))
            point = Conv2d(Window(Axis(1), Axis(1)))
            source = self._weighted(f"producer{number}", "conv2d", source, shape[-1], point)
        else:
            source = self._input(f"x{number}", shape)
        name = node_name(number)
        if layer.op == "add":
            operands = [source, self._input(f"z{number}", shape)]
            output = self._plain(name, layer.op, operands, layer.attributes)
        else:
            output = self._weighted(name, layer.op, source, layer.outputs, layer.attributes)
        self._outputs.append(output.name)

    def graph(self) -> QGraph:
        inputs, outputs = (
            tuple(Port(name, name, self._tensors[name].shape) for name in names)
            for names in (self._inputs, self._outputs)
        )
        return QGraph(self._tensors, tuple(self._nodes), inputs, outputs, name="layers").verify()

    def _tensor(self, tensor: Tensor) -> Tensor:
        self._tensors[tensor.name] = tensor
        return tensor

    def _input(self, name: str, shape: Shape) -> Tensor:
        self._inputs.append(name)
        return self._tensor(Tensor(name, shape, "int8", Quantization(0.05, INPUT_ZERO_POINT)))

    def _node(
        self, name: str, op: str, inputs: Sequence[Tensor], attributes: Any, arithmetic: Any
    ) -> Tensor:
        shape = operators()[op].output_shape(attributes, [tensor.shape for tensor in inputs])
        quantization = Quantization(0.1, OUTPUT_ZERO_POINT)
        output = self._tensor(Tensor(f"{name}_out", shape, "int8", quantization))
        names = tuple(tensor.name for tensor in inputs)
        self._nodes.append(Node(name, op, names, (output.name,), attributes, arithmetic))
        return output

    def _weighted(
        self, name: str, op: str, source: Tensor, outputs: int, attributes: Any
    ) -> Tensor:
        """Seeded weights, and shifts that leave the outputs between the ends of int8."""
        random, inputs = self._random, source.shape[-1]
        shape: Shape = (outputs, inputs)
        if op != "fully_connected":
            size = (attributes.window.height.kernel, attributes.window.width.kernel)
            shape = (outputs, *size, inputs) if op == "conv2d" else (1, *size, outputs)
        weights = random.integers(-127, 128, shape)
        taps = weights.size // outputs
        deviation = TYPICAL_INPUT * TYPICAL_WEIGHT * np.sqrt(taps)
        shift = -round(np.log2(deviation / SPREAD))
        per_output = weights.reshape(-1, outputs).T if op == "depthwise_conv2d" else weights
        bias = INPUT_ZERO_POINT * per_output.reshape(outputs, -1).sum(axis=1)  # centres the sums
        arithmetic = WeightedArithmetic(
            INPUT_ZERO_POINT,
            OUTPUT_ZERO_POINT,
            tuple(int(m) for m in random.integers(2**30, 2**31, outputs)),
            (shift,) * outputs,
            -128,
            127,
        )
        constants = [
            self._tensor(constant(f"{name}_weights", weights.astype(np.int8))),
            self._tensor(constant(f"{name}_bias", bias.astype(np.int32))),
        ]
        return self._node(name, op, [source, *constants], attributes, arithmetic)

    def _plain(self, name: str, op: str, sources: Sequence[Tensor], attributes: Any) -> Tensor:
        """An operator without weights, its integers from the scales of its tensors."""
        output = self._node(name, op, sources, attributes, None)
        call = Call(self._nodes.pop(), tuple(sources), (output,))
        arithmetic = operators()[op].quantize(call).arithmetic
        return self._node(name, op, sources, attributes, arithmetic)


def node_name(number: int) -> str:
    """The node that a layer of the table measures."""
    return f"layer{number}"


def model_of(layers: Sequence[Layer]) -> QGraph:
    """The layers beside each other, each with inputs and an output of its own."""
    model = _Model()
    for number, layer in enumerate(layers):
        model.add(number, layer)
    return model.graph()


@dataclass(frozen=True)
class Measurement:
    """One layer on one core; ``units`` are MACs, or elements where there are none.

    estimated: the instructions that the cost model predicts.
    """

    kernel: str
    units: int
    instructions: int
    estimated: float
    cycles_model: int | None
    is_exact: bool


def measure(layers: Sequence[Layer], target: Target) -> list[Measurement]:
    """Every layer once on seeded noise, all in one program."""
    graph = model_of(layers)
    zeros = tuple(np.zeros(graph.tensors[port.tensor].shape, np.int8) for port in graph.inputs)
    options = ConvertOptions(target, "layers", budget=Budget("layerwise"))
    sources = convert_model(IntegerModel(graph, (zeros,), None, {}, 0), options)
    with tempfile.TemporaryDirectory(prefix="edgekit-kernels-") as folder:
        directory = Path(folder) / "layers"
        write_project(sources, directory)
        profile, outputs = profile_run(directory, target)
    expected = interpret(graph, seeded_sample(sources.manifest), outputs_only=True)
    counted = {layer.name: layer for layer in profile.layers}
    estimates = layer_costs(graph, choose(graph, target))
    measurements = []
    for number, (port, output) in enumerate(zip(graph.outputs, outputs, strict=True)):
        layer = counted[node_name(number)]
        measurements.append(
            Measurement(
                layer.kernel,
                layer.macs or output.size,
                layer.instructions,
                estimates[layer.name],
                layer.cycles_model,
                np.array_equal(output, expected[port.tensor]),
            )
        )
    return measurements


def core_table(core: str, layers: Sequence[Layer], measurements: Sequence[Measurement]) -> str:
    """One line per layer: CMSIS-NN, goal, measured, and how far the kernel's estimate is off.

    Modelled cycles too, where the core has a model.
    """
    has_cycles = any(m.cycles_model is not None for m in measurements)
    heads = ["CMSIS-NN", "goal", "measured", "estimate", *["cycles (model)"] * has_cycles]
    lines = [f"{core:34}{''.join(f'{head:>{WIDTH}}' for head in heads)}   kernel"]
    for layer, m in zip(layers, measurements, strict=True):
        figures = layer.figures.get(core, Figures())
        per_unit = m.instructions / m.units
        cells = [_number(figures.cmsis_nn), _number(figures.goal), _number(per_unit)]
        cells.append(f"{m.estimated / m.instructions * 100 - 100:+.0f}%")
        if has_cycles:
            cells.append(_number(None if m.cycles_model is None else m.cycles_model / m.units))
        over = figures.goal is not None and per_unit > figures.goal
        remarks = [m.kernel, *["OVER ITS GOAL"] * over, *["WRONG RESULT"] * (not m.is_exact)]
        lines.append(
            f"{layer.name:34}{''.join(f'{c:>{WIDTH}}' for c in cells)}   {', '.join(remarks)}"
        )
    errors = [abs(m.estimated / m.instructions - 1) for m in measurements]
    middle, worst = statistics.median(errors), max(errors)
    lines.append(f"error of the estimates: median {middle:.1%}, worst {worst:.1%}")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("words", nargs="*", help="only layers with one of these in their names")
    parser.add_argument("--core", choices=CORES, action="append", help="only these cores")
    arguments = parser.parse_args()
    words = arguments.words or [""]
    layers = [layer for layer in LAYERS if any(word in layer.name for word in words)]
    if not layers:
        parser.error(f"no layer has one of {words} in its name")
    is_exact = True
    for core in arguments.core or CORES:
        measurements = measure(layers, load_target(core))
        print(core_table(core, layers, measurements), end="\n\n", flush=True)
        is_exact &= all(m.is_exact for m in measurements)
    sys.exit(0 if is_exact else 1)


if __name__ == "__main__":
    main()
