# SPDX-License-Identifier: Apache-2.0
"""Weights and biases that make up for quantization, layer by layer over samples.

Learned rounding (rounding.py) and empirical bias correction (Nagel et al., "Data-Free Quantization
Through Weight Equalization and Bias Correction", 2019): the mean of a channel's sums over the samples
becomes that of the float model. Each layer sees what the integer layers in front of it compute,
which are adjusted already.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from edgekit.arith import round_half_away
from edgekit.converters.quantize.calibrate import FloatSample
from edgekit.converters.quantize.options import QuantizeOptions
from edgekit.converters.quantize.ptq import (
    Ranges,
    quantize_node,
    quantized_ports,
    with_integer_ends,
)
from edgekit.converters.quantize.real import dequantized, quantized_sample
from edgekit.converters.quantize.reweight import (
    Parameters,
    bias_or_zeros,
    has_weights,
    output_channels,
    with_parameters,
)
from edgekit.converters.quantize.rounding import RoundingProblem, learn_rounding
from edgekit.ir import Array, Call, Graph, Tensor
from edgekit.ops import operator_of
from edgekit.ops._weight_channels import per_output_channel
from edgekit.ops._weighted import INPUT, WEIGHTS, weight_scales
from edgekit.ops._weighted_convolution import ConvolutionOperator
from edgekit.ops._windows import pad_map, taps

Progress = Callable[[str], None]


def adjust(
    graph: Graph,
    ranges: Ranges,
    samples: Sequence[FloatSample],
    options: QuantizeOptions,
    *,
    progress: Progress = lambda text: None,
) -> Graph:
    """The float graph with the weights and biases of the chosen layers adjusted.

    Adjusted weights lie on the grid of their scales, so that quantization leaves them as they are.
    """
    walk = _Walk(graph, ranges, samples)
    changes: dict[str, Parameters] = {}
    for number, node in enumerate(graph.nodes, start=1):
        call = graph.call(node)
        if has_weights(call):
            layer = options.of(node)
            change = Parameters()
            if layer.rounding == "learned" and can_learn_rounding(call):
                progress(f"learned rounding: layer {number} of {len(graph.nodes)}")
                change = Parameters(weights=walk.rounded_weights(call))
            if layer.bias_correction:
                progress(f"bias correction: layer {number} of {len(graph.nodes)}")
                change = dataclasses.replace(change, bias=walk.corrected_bias(call, change.weights))
            changes[node.name] = change
        walk.step(call, changes.get(node.name, Parameters()))
    return with_parameters(graph, changes).verify()


def can_learn_rounding(call: Call) -> bool:
    """Whether the inputs of the weights can be laid out as the rows of one product."""
    return call.node.op in ("conv2d", "depthwise_conv2d", "fully_connected")


class _Walk:
    """All samples, one layer further with every step: as floats, and as the integer model's."""

    def __init__(self, graph: Graph, ranges: Ranges, samples: Sequence[FloatSample]) -> None:
        self._graph = graph
        self._ranges = ranges
        self._tensors = quantized_ports(graph, ranges)
        names = [port.tensor for port in graph.inputs]
        self._floats = [dict(zip(names, sample, strict=True)) for sample in samples]
        ports = [self._tensors[name] for name in names]
        self._integers = [
            dict(zip(names, quantized_sample(sample, ports), strict=True)) for sample in samples
        ]
        self._last_reader = {name: node.name for node in graph.nodes for name in node.inputs}

    def rounded_weights(self, call: Call) -> Array:
        """Float weights on the grid, rounded so that the sums over the samples change least."""
        weights = call.constant(WEIGHTS).astype(np.float64)
        scales = self._weight_scales(call)
        grid = weights / per_output_channel(call.node.op, weights.shape, scales)
        nearest = np.clip(round_half_away(grid), -127, 127)
        source = self._tensors[call.inputs[INPUT].name]
        assert source.quantization is not None
        zero_point = source.quantization.zero_point
        inputs = (values[source.name] for values in self._integers)
        moments = _moments(call, (x.astype(np.float64) - zero_point for x in inputs))
        problem = RoundingProblem(_as_products(call, grid), moments)
        learned = learn_rounding(problem, _as_products(call, nearest))
        integers = _as_weights(call, learned)
        return integers * per_output_channel(call.node.op, weights.shape, scales)

    def corrected_bias(self, call: Call, weights: Array | None) -> Array:
        """The bias with which the mean of every channel is that of the float model."""
        used = call.constant(WEIGHTS) if weights is None else weights.astype(np.float32)
        scales = per_output_channel(call.node.op, used.shape, self._weight_scales(call))
        on_grid = np.clip(round_half_away(used / scales), -127, 127) * scales
        quantized = _with_weights(call, on_grid.astype(np.float32))
        channels = output_channels(call)
        shift = np.zeros(channels)
        name = call.inputs[INPUT].name
        for floats, integers in zip(self._floats, self._integers, strict=True):
            x = dequantized(integers[name], self._tensors[name])
            exact = _sums(call, floats[name]).reshape(-1, channels)
            approximate = _sums(quantized, x).reshape(-1, channels)
            shift += (exact - approximate).mean(axis=0)
        bias: Array = bias_or_zeros(call) + shift / len(self._floats)
        return bias

    def step(self, call: Call, change: Parameters) -> None:
        """Compute the layer for all samples; what nothing reads any more is dropped."""
        adjusted = with_parameters(self._graph, {call.node.name: change})
        node = next(node for node in adjusted.nodes if node.name == call.node.name)
        integer_node = quantize_node(adjusted.call(node), self._tensors, self._ranges)
        result = call.output.name
        ended = [name for name in call.node.inputs if self._is_over(name, call.node.name)]
        integer_inputs = tuple(self._tensors[name] for name in integer_node.inputs)
        integer_call = Call(integer_node, integer_inputs, (self._tensors[result],))
        for values, current in (
            *((values, call) for values in self._floats),
            *((values, integer_call) for values in self._integers),
        ):
            operator = operator_of(current.node)
            is_float = current is call
            evaluate = operator.evaluate_float if is_float else operator.evaluate
            values[result] = evaluate(current, _operands(current.inputs, values))
            for name in dict.fromkeys(ended):
                values.pop(name, None)

    def _is_over(self, name: str, reader: str) -> bool:
        return self._last_reader.get(name) == reader

    def _weight_scales(self, call: Call) -> Array:
        return weight_scales(with_integer_ends(call, self._tensors, self._ranges))


def _operands(tensors: Iterable[Tensor], values: dict[str, Array]) -> list[Array]:
    return [t.data if t.data is not None else values[t.name] for t in tensors]


def _with_weights(call: Call, weights: Array) -> Call:
    inputs = list(call.inputs)
    inputs[WEIGHTS] = dataclasses.replace(inputs[WEIGHTS], data=weights)
    return dataclasses.replace(call, inputs=tuple(inputs))


def _sums(call: Call, x: Array) -> Array:
    """What a layer computes in float before its clamp."""
    attributes = dataclasses.replace(call.node.attributes, activation_min=None, activation_max=None)
    unclamped = dataclasses.replace(
        call, node=dataclasses.replace(call.node, attributes=attributes)
    )
    operands = [x, *(tensor.data for tensor in call.inputs[WEIGHTS:] if tensor.data is not None)]
    return operator_of(call.node).evaluate_float(unclamped, operands).astype(np.float64)


def _moments(call: Call, inputs: Iterable[Array]) -> Array:
    """The second moments (groups, K, K) of what each group of weights is multiplied with."""
    total: Array | None = None
    for x in inputs:
        rows = _rows(call, x)
        product = np.swapaxes(rows, 1, 2) @ rows
        total = product if total is None else total + product
    assert total is not None
    return total


def _rows(call: Call, x: Array) -> Array:
    """(groups, rows, K): every row has the inputs of the K weights of one output."""
    if call.node.op == "fully_connected":
        return x.reshape(1, -1, call.inputs[WEIGHTS].shape[1])
    operator = operator_of(call.node)
    assert isinstance(operator, ConvolutionOperator)
    window = operator.window(call)
    _, height, width, _ = call.output.shape
    views = [view[0] for _, _, view in taps(pad_map(x, window, 0.0), window, height, width)]
    stacked = np.stack(views).reshape(len(views), height * width, -1)
    groups = _groups(call)
    by_group = stacked.reshape(len(views), height * width, groups, -1)
    rows: Array = by_group.transpose(2, 1, 0, 3).reshape(groups, height * width, -1)
    return rows


def _groups(call: Call) -> int:
    if call.node.op == "depthwise_conv2d":
        return call.inputs[INPUT].shape[3]
    if call.node.op == "fully_connected":
        return 1
    return call.inputs[INPUT].shape[3] // call.inputs[WEIGHTS].shape[3]


def _as_products(call: Call, weights: Array) -> Array:
    """The weights as (groups, K, outputs of a group)."""
    groups = _groups(call)
    if call.node.op == "depthwise_conv2d":
        taps_first = weights.reshape(-1, groups, weights.shape[3] // groups)
        return np.ascontiguousarray(taps_first.transpose(1, 0, 2))
    rows = weights.reshape(groups, weights.shape[0] // groups, -1)
    return np.ascontiguousarray(rows.transpose(0, 2, 1))


def _as_weights(call: Call, products: Array) -> Array:
    """The inverse of :func:`_as_products`."""
    shape = call.inputs[WEIGHTS].shape
    if call.node.op == "depthwise_conv2d":
        return products.transpose(1, 0, 2).reshape(shape)
    return products.transpose(0, 2, 1).reshape(shape)
