# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies: small random float calls of every operator, quantized by the operator."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from edgekit.ir import Call, Node, QGraph, Quantization, Shape, Tensor, constant
from edgekit.ops import operators
from edgekit.ops._operator import case_graph
from edgekit.ops._pooling import taps_inside
from edgekit.ops.add import Add
from edgekit.ops.average_pool2d import AveragePool2d
from edgekit.ops.conv2d import Conv2d
from edgekit.ops.depthwise_conv2d import DepthwiseConv2d
from edgekit.ops.fully_connected import FullyConnected
from edgekit.ops.l2_normalization import L2Normalization
from edgekit.ops.layer_normalization import LayerNormalization
from edgekit.ops.log_softmax import LogSoftmax
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.ops.mean import Mean
from edgekit.ops.mul import Mul
from edgekit.ops.pad import Pad
from edgekit.ops.requantize import Requantize
from edgekit.ops.softmax import Softmax
from edgekit.ops.transpose import Transpose
from edgekit.window import Axis, Window

Draw = Callable[[st.SearchStrategy[Any]], Any]

SIZES = st.integers(1, 7)
CHANNELS = st.integers(1, 9)
SCALES = st.floats(0.004, 0.3)
BOUNDS = st.sampled_from(((None, None), (0.0, None), (0.0, 6.0), (-1.0, 1.0)))


def quantized(call: Call) -> QGraph:
    """The integer model of a float call, as the operator's own quantization rule makes it."""
    operator = operators()[call.node.op]
    result = operator.quantize(call)
    inputs = [
        result.constants.get(position, dataclasses.replace(t, dtype="int8"))
        for position, t in enumerate(call.inputs)
    ]
    return case_graph(
        call.node.op,
        inputs=inputs,
        output=dataclasses.replace(
            call.output, dtype="int32" if operator.returns_indices else "int8"
        ),
        attributes=call.node.attributes,
        arithmetic=result.arithmetic,
        name="random",
    )


@st.composite
def quantizations(draw: Draw) -> Quantization:
    return Quantization(draw(SCALES), draw(st.integers(-128, 127)))


def _call(draw: Draw, op: str, attributes: Any, inputs: Sequence[Tensor]) -> Call:
    """A verified float call; the output shares the input's quantization where it must."""
    operator = operators()[op]
    shape = operator.output_shape(attributes, [tensor.shape for tensor in inputs])
    names = tuple(tensor.name for tensor in inputs)
    node = Node(op, op, names, ("y",), attributes)
    call = Call(node, tuple(inputs), (Tensor("y", shape, "float32"),))
    shared = operator.output_quantization(call)
    output = Tensor("y", shape, "float32", shared or draw(quantizations()))
    call = dataclasses.replace(call, outputs=(output,))
    operator.verify(call)
    return call


def _activation(draw: Draw, shape: Shape, name: str = "x") -> Tensor:
    return Tensor(name, shape, "float32", draw(quantizations()))


def _constant(draw: Draw, shape: Shape, name: str) -> Tensor:
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    return constant(name, random.normal(size=shape).astype(np.float32))


def _weights(draw: Draw, shape: Shape, channels: int) -> list[Tensor]:
    """Weights, and a bias or none."""
    weights = [_constant(draw, shape, "weights")]
    return weights + [_constant(draw, (channels,), "bias")] * draw(st.booleans())


def _axis(draw: Draw, size: int) -> Axis:
    kernel, stride, dilation = (draw(st.integers(1, top)) for top in (4, 3, 2))
    before, after = (draw(st.integers(0, kernel)) for _ in range(2))
    axis = Axis(kernel, stride, dilation, before, after)
    assume(axis.output_size(size) >= 1)
    return axis


def _map_and_window(draw: Draw, channels: int) -> tuple[Tensor, Window]:
    height, width = draw(SIZES), draw(SIZES)
    x = _activation(draw, (1, height, width, channels))
    return x, Window(_axis(draw, height), _axis(draw, width))


@st.composite
def conv2d(draw: Draw) -> Call:
    groups, inputs, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 6)), draw(SIZES)
    x, window = _map_and_window(draw, groups * inputs)
    channels = groups * outputs
    shape = (channels, window.height.kernel, window.width.kernel, inputs)
    weights = _weights(draw, shape, channels)
    return _call(draw, "conv2d", Conv2d(window, *draw(BOUNDS)), [x, *weights])


@st.composite
def depthwise_conv2d(draw: Draw) -> Call:
    inputs, multiplier = draw(CHANNELS), draw(st.integers(1, 3))
    x, window = _map_and_window(draw, inputs)
    channels = inputs * multiplier
    shape = (1, window.height.kernel, window.width.kernel, channels)
    weights = _weights(draw, shape, channels)
    return _call(draw, "depthwise_conv2d", DepthwiseConv2d(window, *draw(BOUNDS)), [x, *weights])


@st.composite
def fully_connected(draw: Draw) -> Call:
    shape = (1, draw(SIZES), draw(CHANNELS))
    keep_dims = draw(st.booleans())
    row = shape[2] if keep_dims or draw(st.booleans()) else shape[1] * shape[2]
    channels = draw(CHANNELS)
    weights = _weights(draw, (channels, row), channels)
    attributes = FullyConnected(keep_dims, *draw(BOUNDS))
    return _call(draw, "fully_connected", attributes, [_activation(draw, shape), *weights])


def _pooled(draw: Draw) -> tuple[Tensor, Window]:
    x, window = _map_and_window(draw, draw(CHANNELS))
    assume(taps_inside(window.height, x.shape[1]).all())
    assume(taps_inside(window.width, x.shape[2]).all())
    return x, window


@st.composite
def average_pool2d(draw: Draw) -> Call:
    x, window = _pooled(draw)
    attributes = AveragePool2d(window, draw(st.booleans()), *draw(BOUNDS))
    return _call(draw, "average_pool2d", attributes, [x])


@st.composite
def max_pool2d(draw: Draw) -> Call:
    x, window = _pooled(draw)
    return _call(draw, "max_pool2d", MaxPool2d(window, *draw(BOUNDS)), [x])


@st.composite
def mean(draw: Draw) -> Call:
    x = _activation(draw, (1, draw(SIZES), draw(SIZES), draw(CHANNELS)))
    axes = draw(st.sampled_from(((1,), (2,), (1, 2))))
    return _call(draw, "mean", Mean(axes, draw(st.booleans())), [x])


@st.composite
def softmax(draw: Draw) -> Call:
    shape = (1, *draw(st.lists(SIZES, max_size=2)), draw(st.integers(1, 40)))
    attributes = Softmax(draw(st.sampled_from((1.0, 0.5, 2.0))))
    return _call(draw, "softmax", attributes, [_activation(draw, shape)])


@st.composite
def rows(draw: Draw) -> Call:
    """log_softmax or l2_normalization."""
    shape = (1, *draw(st.lists(SIZES, max_size=2)), draw(st.integers(1, 40)))
    op, attributes = draw(
        st.sampled_from((("log_softmax", LogSoftmax()), ("l2_normalization", L2Normalization())))
    )
    return _call(draw, op, attributes, [_activation(draw, shape)])


@st.composite
def layer_normalization(draw: Draw) -> Call:
    shape = (1, *draw(st.lists(SIZES, max_size=2)), draw(st.integers(1, 40)))
    vectors = [_constant(draw, shape[-1:], name) for name in ("gamma", "beta")]
    attributes = LayerNormalization(draw(st.sampled_from((0.0, 1e-5, 1e-3, 1.0))))
    return _call(draw, "layer_normalization", attributes, [_activation(draw, shape), *vectors])


@st.composite
def elementwise(draw: Draw) -> Call:
    """add or mul; the second operand is full, per channel, per column or a scalar."""
    height, width, channels = draw(SIZES), draw(SIZES), draw(CHANNELS)
    shapes = (
        (1, height, width, channels),
        (1, 1, 1, channels),
        (1, 1, width, channels),
        (1, height, 1, channels),
        (channels,),
        (1, 1, 1, 1),
    )
    shape = draw(st.sampled_from(shapes))
    if len(shape) == 1 or draw(st.booleans()):
        second = _constant(draw, shape, "second")
    else:
        second = _activation(draw, shape, "second")
    operands = [_activation(draw, shapes[0]), second]
    op, attributes = draw(st.sampled_from((("add", Add), ("mul", Mul))))
    return _call(draw, op, attributes(*draw(BOUNDS)), operands[:: draw(st.sampled_from((1, -1)))])


@st.composite
def requantize(draw: Draw) -> Call:
    x = _activation(draw, (1, draw(SIZES), draw(SIZES), draw(CHANNELS)))
    return _call(draw, "requantize", Requantize(*draw(BOUNDS)), [x])


@st.composite
def pad(draw: Draw) -> Call:
    x = _activation(draw, (1, draw(SIZES), draw(SIZES), draw(CHANNELS)))
    before, after = ((0, *(draw(st.integers(0, 3)) for _ in range(3))) for _ in range(2))
    return _call(draw, "pad", Pad(before, after), [x])


@st.composite
def transpose(draw: Draw) -> Call:
    x = _activation(draw, (1, draw(SIZES), draw(SIZES), draw(CHANNELS)))
    order = draw(st.permutations((1, 2, 3)))
    return _call(draw, "transpose", Transpose((0, *order)), [x])


CALLS: dict[str, st.SearchStrategy[Call]] = {
    "conv2d": conv2d(),
    "depthwise_conv2d": depthwise_conv2d(),
    "fully_connected": fully_connected(),
    "average_pool2d": average_pool2d(),
    "max_pool2d": max_pool2d(),
    "mean": mean(),
    "softmax": softmax(),
    "rows": rows(),
    "layer_normalization": layer_normalization(),
    "elementwise": elementwise(),
    "requantize": requantize(),
    "pad": pad(),
    "transpose": transpose(),
}
"""A strategy for every family of operators."""
