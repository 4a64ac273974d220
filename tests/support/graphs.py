# SPDX-License-Identifier: Apache-2.0
"""Small integer models made by hand: a builder, and the models that several tests convert."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from edgekit.ir import Call, Node, Port, QGraph, Quantization, Shape, Tensor, constant
from edgekit.ops import operators
from edgekit.ops.add import Add
from edgekit.ops.average_pool2d import AveragePool2d
from edgekit.ops.conv2d import Conv2d
from edgekit.ops.depthwise_conv2d import DepthwiseConv2d
from edgekit.ops.fully_connected import FullyConnected
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.ops.mean import Mean
from edgekit.ops.mul import Mul
from edgekit.ops.pad import Pad
from edgekit.ops.requantize import Requantize
from edgekit.ops.reshape import Reshape
from edgekit.ops.softmax import Softmax
from edgekit.ops.transpose import Transpose
from edgekit.window import Axis, Window

SAME_3 = Axis(3, 1, 1, 1, 1)
HALF_3 = Axis(3, 2, 1, 0, 1)


class GraphBuilder:
    """Adds nodes one by one; each is quantized by its operator's own rule, with seeded constants.

    Every method that adds a node returns the name of its output.
    """

    def __init__(self, name: str = "model", *, seed: int = 0) -> None:
        self._name = name
        self._random = np.random.default_rng(seed)
        self._tensors: dict[str, Tensor] = {}
        self._nodes: list[Node] = []
        self._inputs: list[Port] = []

    def input(self, name: str, shape: Shape) -> str:
        self._tensors[name] = Tensor(name, shape, "int8", Quantization(0.05, -11))
        self._inputs.append(Port(name, name, shape, "NHWC" if len(shape) == 4 else ""))
        return name

    def node(self, op: str, attributes: Any, *inputs: str | Tensor) -> str:
        """Any operator; a Tensor among the inputs is a float constant."""
        operator = operators()[op]
        name = f"{op}_{len(self._nodes)}"
        tensors = [self._float(t) if isinstance(t, str) else t for t in inputs]
        shape = operator.output_shape(attributes, [tensor.shape for tensor in tensors])
        names = tuple(tensor.name for tensor in tensors)
        output = Tensor(f"{name}_y", shape, "float32")
        call = Call(Node(name, op, names, (output.name,), attributes), tuple(tensors), (output,))
        shared = operator.output_quantization(call)
        output = dataclasses.replace(output, quantization=shared or self._quantization())
        call = dataclasses.replace(call, outputs=(output,))
        operator.verify(call)
        result = operator.quantize(call)
        self._tensors |= {t.name: t for t in result.constants.values()}
        self._tensors[output.name] = dataclasses.replace(output, dtype="int8")
        node = dataclasses.replace(call.node, arithmetic=result.arithmetic, source=f"net/{name}")
        self._nodes.append(node)
        return output.name

    def _float(self, name: str) -> Tensor:
        return dataclasses.replace(self._tensors[name], dtype="float32")

    def _quantization(self) -> Quantization:
        return Quantization(0.04 + 0.02 * self._random.random(), int(self._random.integers(-40, 9)))

    def constant(self, shape: Shape, *, scale: float = 1.0) -> Tensor:
        """Normal noise under a name of its own."""
        values = self._random.normal(scale=scale, size=shape).astype(np.float32)
        return constant(f"constant_{len(self._nodes)}_{self._random.integers(2**40)}", values)

    def conv2d(self, x: str, channels: int, window: Window | None = None) -> str:
        window = window or Window(Axis(1), Axis(1))
        taps = (window.height.kernel, window.width.kernel, self._tensors[x].shape[3])
        weights = self.constant((channels, *taps), scale=1.2 / float(np.prod(taps)) ** 0.5)
        return self.node("conv2d", Conv2d(window), x, weights, self.constant((channels,)))

    def depthwise(self, x: str, window: Window) -> str:
        channels = self._tensors[x].shape[3]
        shape = (1, window.height.kernel, window.width.kernel, channels)
        weights = self.constant(shape, scale=1.2 / float(shape[1] * shape[2]) ** 0.5)
        attributes = DepthwiseConv2d(window)
        return self.node("depthwise_conv2d", attributes, x, weights, self.constant((channels,)))

    def fully_connected(self, x: str, outputs: int) -> str:
        inputs = int(np.prod(self._tensors[x].shape))
        weights = self.constant((outputs, inputs), scale=inputs**-0.5)
        return self.node("fully_connected", FullyConnected(), x, weights)

    def reshape(self, x: str, shape: Shape) -> str:
        return self.node("reshape", Reshape(shape), x)

    def shape(self, x: str) -> Shape:
        return self._tensors[x].shape

    def graph(self, *outputs: str) -> QGraph:
        ports = tuple(
            Port(f"y{i}", name, self._tensors[name].shape) for i, name in enumerate(outputs)
        )
        graph = QGraph(
            dict(self._tensors), tuple(self._nodes), tuple(self._inputs), ports, name=self._name
        )
        return graph.verify()


def square(axis: Axis) -> Window:
    return Window(axis, axis)


def residual() -> QGraph:
    """A stem, an inverted bottleneck with its sum, and a classifier, on a 13 x 10 map."""
    b = GraphBuilder("residual")
    x = b.conv2d(b.input("image", (1, 13, 10, 3)), 8, square(HALF_3))
    y = b.conv2d(x, 24)
    y = b.depthwise(y, square(SAME_3))
    y = b.conv2d(y, 8)
    y = b.node("add", Add(0.0, None), x, y)
    y = b.node("average_pool2d", AveragePool2d(Window(Axis(6), Axis(5))), y)
    y = b.reshape(y, (1, 8))
    return b.graph(b.node("softmax", Softmax(), b.fully_connected(y, 5)))


def every_operator() -> QGraph:
    """Each operator at least once, odd sizes throughout."""
    b = GraphBuilder("every_operator", seed=1)
    x = b.node("pad", Pad((0, 1, 0, 0), (0, 0, 2, 1)), b.input("x", (1, 11, 9, 2)))
    y = b.node("requantize", Requantize(0.0, 6.0), b.conv2d(x, 7, square(SAME_3)))
    y = b.node("mul", Mul(), y, b.constant((7,)))
    y = b.node("add", Add(), y, b.conv2d(x, 7))
    y = b.node("max_pool2d", MaxPool2d(square(Axis(3, 2, 1, 1, 1))), y)
    y = b.depthwise(y, Window(Axis(5, 1, 1, 2, 2), Axis(3, 2, 1, 1, 1)))
    y = b.node("transpose", Transpose((0, 3, 1, 2)), y)
    y = b.node("average_pool2d", AveragePool2d(square(Axis(2, 1, 1, 0, 0))), y)
    y = b.node("mean", Mean((2,), True), y)
    y = b.reshape(y, (1, int(np.prod(b.shape(y)))))
    return b.graph(b.node("softmax", Softmax(), b.fully_connected(y, 3)))


def two_by_two() -> QGraph:
    """Two inputs, three outputs: one that is also consumed, a view of it, and an input itself."""
    b = GraphBuilder("two_by_two", seed=2)
    first, second = b.input("first", (1, 4, 5, 3)), b.input("second", (1, 4, 1, 3))
    total = b.node("add", Add(), first, second)
    flat = b.reshape(total, (1, 60))
    return b.graph(total, b.fully_connected(flat, 4), flat, second)


def chain(seed: int) -> QGraph:
    """Random row kernels in a row, whose outputs may all be written behind their inputs."""
    random = np.random.default_rng(seed)
    b = GraphBuilder(f"chain_{seed}", seed=seed)
    height, width = (int(n) for n in random.integers(5, 13, 2))
    x = b.conv2d(b.input("x", (1, height, width, 2)), int(random.integers(1, 8)))
    for _ in range(5):
        x = _random_link(b, x, random)
    return b.graph(b.conv2d(x, 2))


def _random_link(b: GraphBuilder, x: str, random: np.random.Generator) -> str:
    window = Window(*(_random_axis(size, random) for size in b.shape(x)[1:3]))
    kind = random.integers(6)
    if kind == 0:
        return b.conv2d(x, int(random.integers(1, 9)), window)
    if kind == 1:
        return b.conv2d(x, int(random.integers(1, 9)))
    if kind == 2:
        return b.depthwise(x, window)
    if kind == 3:
        return b.node("max_pool2d", MaxPool2d(square(SAME_3)), x)
    if kind == 4:
        return b.node("add", Add(), x, b.depthwise(x, square(SAME_3)))
    return b.node("requantize", Requantize(None, 3.0), x)


def _random_axis(size: int, random: np.random.Generator) -> Axis:
    while True:
        kernel, stride, dilation = (int(random.integers(1, top)) for top in (5, 4, 3))
        before, after = (int(n) for n in random.integers(0, kernel, 2))
        axis = Axis(kernel, stride, dilation, before, after)
        if axis.output_size(size) >= 2:
            return axis
        if size < 3:
            return Axis(1)


GRAPHS: Mapping[str, Callable[[], QGraph]] = {
    "residual": residual,
    "every_operator": every_operator,
    "two_by_two": two_by_two,
    **{f"chain_{seed}": (lambda seed=seed: chain(seed)) for seed in range(8)},
}
"""The models of this file by name."""


def node_names(graph: QGraph, op: str) -> Sequence[str]:
    return [node.name for node in graph.nodes if node.op == op]
