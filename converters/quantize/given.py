# SPDX-License-Identifier: Apache-2.0
"""Float graphs whose scales the source gives (QDQ models) become integer models, without samples.

The multipliers are those of edgekit's operators, as for every other model: TensorFlow Lite's fixed
point. onnxruntime multiplies its int32 sums by a float32 factor and rounds halves to even, so where
a sum lies within about 2^-23 of a half of an output step the two may differ by one step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from edgekit.arith import INT32_MAX, INT32_MIN, quantize_multiplier, round_half_away
from edgekit.converters.given_scales import GivenConstant, GivenScales
from edgekit.converters.quantize.ptq import keep_constant
from edgekit.errors import BadInputError, UnsupportedError
from edgekit.ir import Array, Call, Graph, Node, QGraph, Quantization, Tensor, constant
from edgekit.ops import operator_of
from edgekit.ops._operator import Quantized
from edgekit.ops._weighted import BIAS, INPUT, WEIGHTS, WeightedArithmetic
from edgekit.ops.average_pool2d import AveragePool2d
from edgekit.ops.depthwise_conv2d import DepthwiseConv2d
from edgekit.ops.requantize import Requantize

WEIGHTED_CHANNEL_AXIS: Mapping[str, int] = {
    "conv2d": 0,
    "depthwise_conv2d": 3,
    "fully_connected": 0,
    "transposed_conv2d": 0,
}
"""Operators with weights, and where their output channels lie."""
_MARK = Quantization(1.0, 0)


def quantize_as_given(graph: Graph, given: GivenScales) -> QGraph:
    """The int8 model of a float graph and its scales.

    Raises:
        UnsupportedError: activations without a scale, or weights that are not symmetric; all.
        BadInputError: an operator cannot be quantized.
    """
    scales = _spread(graph, given.activations)
    problems = [
        f"{node}: its result has no scale: it is computed in float; quantize it as well"
        for node in graph.nodes
        for name in node.outputs
        if name not in scales and graph.tensors[name].dtype == "float32"
    ]
    problems += [
        f"input '{port.name}': it has no scale; put QuantizeLinear behind it"
        for port in graph.inputs
        if port.tensor not in scales
    ]
    if problems:
        raise UnsupportedError(*problems)
    return _Integers(graph, scales, given.constants).run()


def _spread(graph: Graph, known: Mapping[str, Quantization]) -> dict[str, Quantization]:
    """Scales of results between operators that the source runs as one, or that only move.

    A clamp or a move in front of QuantizeLinear has the scale behind it: saturating first does not
    change what the clamp lets through, as 0 and both bounds of a type are levels.
    """
    scales = dict(known)
    readers = graph.consumers()
    results = {port.tensor for port in graph.outputs}
    keeping = [node for node in graph.nodes if _keeps_scale(graph.call(node))]
    for node in reversed(keeping):
        (source, *_), result = node.inputs, node.outputs[0]
        alone = len(readers[source]) == 1 and source not in results
        if result in scales and alone and not graph.tensors[source].is_constant:
            scales.setdefault(source, scales[result])
    for node in keeping:
        if node.inputs[0] in scales:
            scales.setdefault(node.outputs[0], scales[node.inputs[0]])
    return scales


def _keeps_scale(call: Call) -> bool:
    """Whether input and output of a call may share their scale, whatever it is."""
    if call.node.op == "requantize":
        return True
    inputs = tuple(dataclasses.replace(tensor, quantization=_MARK) for tensor in call.inputs)
    marked = dataclasses.replace(call, inputs=inputs)
    return operator_of(call.node).output_quantization(marked) == _MARK


class _Integers:
    """The integer graph as it grows."""

    def __init__(
        self,
        graph: Graph,
        scales: Mapping[str, Quantization],
        constants: Mapping[str, GivenConstant],
    ) -> None:
        self.graph, self.scales, self.constants = graph, scales, constants
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self.problems: list[str] = []

    def run(self) -> QGraph:
        graph = self.graph
        for port in graph.inputs:
            self.tensors[port.tensor] = self._scaled(graph.tensors[port.tensor])
        for call in graph.calls():
            self._add(call)
        if self.problems:
            raise UnsupportedError(*self.problems)
        for port in graph.outputs:
            if port.tensor not in self.tensors:
                raise BadInputError(f"output '{port.name}': it does not depend on the input")
        return QGraph(
            self.tensors, tuple(self.nodes), graph.inputs, graph.outputs, name=graph.name
        ).verify()

    def _scaled(self, tensor: Tensor) -> Tensor:
        if tensor.dtype == "int32":
            return tensor
        return dataclasses.replace(tensor, dtype="int8", quantization=self.scales[tensor.name])

    def _add(self, call: Call) -> None:
        """Add the integer node of a call, with a rescale behind it where its scale is another."""
        operator = operator_of(call.node)
        inputs = tuple(self._operand(call, position) for position in range(len(call.inputs)))
        call = dataclasses.replace(call, inputs=inputs)
        output, demanded = self._scaled(call.output), operator.output_quantization(call)
        if demanded is None or demanded == output.quantization:
            self._quantize(dataclasses.replace(call, outputs=(output,)))
            return
        if (mean := _equal_weights(call)) is not None:
            self._quantize(dataclasses.replace(mean, outputs=(output,)))
            return
        inner = dataclasses.replace(output, name=f"{output.name}/own", quantization=demanded)
        self._quantize(dataclasses.replace(call, outputs=(inner,)))
        rescale = Node(
            f"{call.node.name}/rescale",
            "requantize",
            (inner.name,),
            (output.name,),
            Requantize(),
            None,
            call.node.source,
        )
        self._quantize(Call(rescale, (inner,), (output,)))

    def _operand(self, call: Call, position: int) -> Tensor:
        """An integer activation; a constant of element-wise arithmetic by its own scale."""
        tensor = call.inputs[position]
        if not tensor.is_constant:
            return self.tensors[tensor.name]
        given = self.constants.get(tensor.name)
        if call.node.op in WEIGHTED_CHANNEL_AXIS or given is None or given.scales.size != 1:
            return tensor
        return _integer_constant(tensor, given)

    def _quantize(self, call: Call) -> None:
        for tensor in call.outputs:
            self.tensors[tensor.name] = tensor
        result = operator_of(call.node).quantize(call)
        names = list(call.node.inputs)
        if call.node.op in WEIGHTED_CHANNEL_AXIS and names[WEIGHTS] in self.constants:
            result = self._weighted(call, result)
        for position, tensor in result.constants.items():
            names[position] = keep_constant(tensor, call.node, self.tensors)
        node = dataclasses.replace(
            call.node,
            inputs=tuple(names),
            outputs=(call.output.name,),
            arithmetic=result.arithmetic,
        )
        self.nodes.append(node)

    def _weighted(self, call: Call, result: Quantized) -> Quantized:
        """Weights and bias as the integers of the source, and the multipliers of their scales."""
        source, target = call.inputs[INPUT].quantization, call.output.quantization
        assert source is not None and target is not None
        arithmetic: WeightedArithmetic = result.arithmetic
        channels = len(arithmetic.multipliers)
        scales = self.constants[call.node.inputs[WEIGHTS]].scales
        weights = call.constant(WEIGHTS)
        if scales.size not in (1, channels):
            raise BadInputError(f"{call.node}: {scales.size} weight scales for {channels} channels")
        scales = np.broadcast_to(scales, (channels,))
        axis = WEIGHTED_CHANNEL_AXIS[call.node.op]
        shape = [-1 if i == axis else 1 for i in range(weights.ndim)]
        integers = np.rint(weights.astype(np.float64) / scales.reshape(shape))
        if integers.min() < -128 or integers.max() > 127:
            self.problems.append(
                f"{call.node}: its weights less their zero point leave int8; quantize weights "
                "symmetrically"
            )
        constants = {
            WEIGHTS: constant(
                call.inputs[WEIGHTS].name, np.clip(integers, -128, 127).astype(np.int8)
            )
        }
        if len(call.inputs) > BIAS:
            name = call.inputs[BIAS].name
            constants[BIAS] = constant(name, self._bias(call, source.scale * scales))
        pairs = [quantize_multiplier(source.scale * float(s) / target.scale) for s in scales]
        arithmetic = dataclasses.replace(
            arithmetic,
            multipliers=tuple(multiplier for multiplier, _ in pairs),
            shifts=tuple(shift for _, shift in pairs),
        )
        return Quantized(arithmetic, constants)

    def _bias(self, call: Call, scales: Array) -> Array:
        """The integers of the source, unless their scale is not that of the sums."""
        given = self.constants.get(call.node.inputs[BIAS])
        values = call.constant(BIAS)
        same_size = given is not None and given.integers.size == values.size
        if given is not None and same_size and _is_scale(given.scales, scales):
            integers = given.integers.reshape(-1)
            return np.clip(integers, INT32_MIN, INT32_MAX).astype(np.int32)
        steps = round_half_away(values.astype(np.float64) / scales)
        return np.clip(steps, INT32_MIN, INT32_MAX).astype(np.int32)


def _is_scale(given: Array, scales: Array) -> bool:
    """Whether a bias has the scales of its sums, which the file stores as float32."""
    sizes = (1, scales.size)
    return given.size in sizes and bool(np.allclose(given, scales, rtol=1e-5, atol=0.0))


def _integer_constant(tensor: Tensor, given: GivenConstant) -> Tensor:
    """The levels of an element-wise operand, moved into int8 where they were uint8."""
    scale = float(given.scales[0])
    levels = np.rint(np.asarray(tensor.data, np.float64) / scale)
    low, high = int(levels.min()), int(levels.max())
    zero_point = 0 if low >= -128 and high <= 127 else min(max(-128 - low, -128), 127)
    integers = np.clip(levels + zero_point, -128, 127).astype(np.int8)
    return constant(tensor.name, integers, quantization=Quantization(scale, zero_point))


def _equal_weights(call: Call) -> Call | None:
    """An average of equally many taps everywhere as a convolution with weights of 1.

    It has a scale of its own and rounds once; padding that counts is the zero point, as it is there.
    """
    node, attributes = call.node, call.node.attributes
    if not isinstance(attributes, AveragePool2d):
        return None
    axes = (attributes.window.height, attributes.window.width)
    if any(axis.pad_before or axis.pad_after for axis in axes) and not attributes.count_padding:
        return None
    taps = (1, axes[0].kernel, axes[1].kernel, call.inputs[0].shape[3])
    weights = constant(f"{node.name}/ones", np.full(taps, 1.0 / (taps[1] * taps[2]), np.float32))
    convolution = DepthwiseConv2d(
        attributes.window, attributes.activation_min, attributes.activation_max
    )
    node = dataclasses.replace(
        node,
        op="depthwise_conv2d",
        inputs=(*node.inputs, weights.name),
        attributes=convolution,
    )
    return Call(node, (*call.inputs, weights), call.outputs)
