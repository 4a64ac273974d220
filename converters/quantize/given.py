# SPDX-License-Identifier: Apache-2.0
"""Float graphs whose scales the source gives (QDQ models) become integer models, without samples.

The multipliers are those of edgekit's operators, as for every other model: TensorFlow Lite's fixed
point (edgekit/runners/source_layers.py says where runtimes differ). A mere change of scale, and a
function of one variable, is a table of the 256 results that the runtime of the source computes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from edgekit.arith import INT32_MAX, INT32_MIN, quantize_multiplier, round_half_away
from edgekit.converters.given_scales import GivenConstant, GivenScales
from edgekit.converters.quantize.float_parts import scales_behind, spread_scales, with_affine_maps
from edgekit.converters.quantize.ptq import keep_constant
from edgekit.errors import BadInputError, UnsupportedError
from edgekit.ir import Array, Call, Graph, Node, QGraph, Quantization, Tensor, constant
from edgekit.ops import operator_of
from edgekit.ops._operator import Quantized
from edgekit.ops._weighted import BIAS, INPUT, WEIGHTS, WeightedArithmetic
from edgekit.ops.average_pool2d import AveragePool2d
from edgekit.ops.depthwise_conv2d import DepthwiseConv2d
from edgekit.ops.lookup import COMPOSITE, Lookup, LookupArithmetic
from edgekit.ops.requantize import Requantize

WEIGHTED_CHANNEL_AXIS: Mapping[str, int] = {
    "conv2d": 0,
    "depthwise_conv2d": 3,
    "fully_connected": 0,
    "transposed_conv2d": 0,
}
"""Operators with weights, and where their output channels lie."""
LEVELS = np.arange(-128, 128)
LEVELS.setflags(write=False)


def quantize_as_given(graph: Graph, given: GivenScales) -> QGraph:
    """The int8 model of a float graph and its scales.

    Raises:
        UnsupportedError: activations without a scale, or weights that are not symmetric; all.
        BadInputError: an operator cannot be quantized.
    """
    graph = with_affine_maps(graph, given.activations)
    scales = spread_scales(graph, given.activations)
    problems = [
        f"{node}: its result has no scale: it is computed in float; quantize it as well"
        for node in graph.nodes
        for name in node.outputs
        if name not in scales and graph.tensors[name].dtype == "float32"
    ]
    problems += [
        f"input '{port.name}': it has no scale; quantize it in front of the first layer"
        for port in graph.inputs
        if port.tensor not in scales
    ]
    if problems:
        raise UnsupportedError(*problems)
    return _Integers(graph, scales, given).run()


def judged_levels(graph: Graph, given: GivenScales) -> dict[str, str]:
    """The activations whose integers a runtime computes from the same integers as edgekit does.

    Left out is what the source computes from floats that it keeps beside their integers, or that
    have none there, or with weights that it keeps in float.
    """
    levels = dict(given.levels)
    known = scales_behind(graph, given.activations)
    kept = given.float_reads & given.activations.keys()
    for node in graph.nodes:
        weighted = node.op in WEIGHTED_CHANNEL_AXIS
        kept |= {t.name for t in graph.call(node).activations if t.name not in known}
        if kept & set(node.inputs) or (weighted and node.inputs[WEIGHTS] not in given.constants):
            levels.pop(node.outputs[0], None)
        if node.outputs[0] in levels and _is_saturation(node, given.activations):
            levels.setdefault(node.inputs[0], levels[node.outputs[0]])
    return levels


def _is_saturation(node: Node, known: Mapping[str, Quantization]) -> bool:
    """Whether a clamp in front of the integers cuts off what has no level: then it goes away."""
    if not isinstance(node.attributes, Requantize) or node.inputs[0] in known:
        return False
    scale, bounds = known[node.outputs[0]], node.attributes
    low = -math.inf if bounds.minimum is None else bounds.minimum / scale.scale
    high = math.inf if bounds.maximum is None else bounds.maximum / scale.scale
    return low + scale.zero_point < -127.5 and high + scale.zero_point > 126.5


class _Integers:
    """The integer graph as it grows."""

    def __init__(
        self,
        graph: Graph,
        scales: Mapping[str, Quantization],
        given: GivenScales,
    ) -> None:
        self.graph, self.scales, self.constants = graph, scales, given.constants
        self.inverse_scales = given.inverse_scales
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
        """Add the integer node of a call, with a change of scale where its operator needs one."""
        inputs = tuple(self._operand(call, position) for position in range(len(call.inputs)))
        output = self._scaled(call.output)
        call = dataclasses.replace(call, inputs=inputs, outputs=(output,))
        if call.node.op == "requantize" and inputs[0].quantization != output.quantization:
            self._rescale(call.node, inputs[0], output)
            return
        if call.node.op == "concat":
            call = self._with_one_scale(call)
        demanded = operator_of(call.node).output_quantization(call)
        if demanded is None or demanded == output.quantization:
            self._quantize(call)
        elif (mean := _equal_weights(call)) is not None:
            self._quantize(mean)
        else:
            inner = dataclasses.replace(output, name=f"{output.name}/own", quantization=demanded)
            self._quantize(dataclasses.replace(call, outputs=(inner,)))
            node = dataclasses.replace(call.node, name=f"{call.node.name}/rescale")
            self._rescale(node, inner, output)

    def _with_one_scale(self, call: Call) -> Call:
        """A concat whose inputs have the scale of its output, so that it only copies."""
        tensors: list[Tensor] = []
        for position, tensor in enumerate(call.inputs):
            if tensor.quantization in (call.output.quantization, None):
                tensors.append(tensor)
                continue
            rescaled = dataclasses.replace(
                tensor,
                name=f"{call.node.name}/{position}",
                quantization=call.output.quantization,
                data=None,
            )
            if tensor.data is not None:
                levels = np.array(self._table(Requantize(), tensor, rescaled), np.int8)
                data = levels[tensor.data.astype(np.int64) + 128]
                rescaled = constant(rescaled.name, data, quantization=call.output.quantization)
                self.tensors[rescaled.name] = rescaled
            else:
                node = dataclasses.replace(call.node, name=rescaled.name, attributes=Requantize())
                self._rescale(node, tensor, rescaled)
            tensors.append(rescaled)
        names = tuple(tensor.name for tensor in tensors)
        return Call(dataclasses.replace(call.node, inputs=names), tuple(tensors), call.outputs)

    def _rescale(self, node: Node, source: Tensor, result: Tensor) -> None:
        """The levels of ``source`` as those of ``result``, as a table."""
        bounds = node.attributes if isinstance(node.attributes, Requantize) else Requantize()
        self.tensors[result.name] = result
        self.nodes.append(
            dataclasses.replace(
                node,
                op="lookup",
                inputs=(source.name,),
                outputs=(result.name,),
                attributes=Lookup(COMPOSITE),
                arithmetic=LookupArithmetic(self._table(bounds, source, result)),
            )
        )

    def _table(self, bounds: Requantize, source: Tensor, result: Tensor) -> tuple[int, ...]:
        """Dequantize, a clamp and quantize of every level: float32, halves to even."""
        before, after = source.quantization, result.quantization
        assert before is not None and after is not None
        values = _real_levels(before)
        low = None if bounds.minimum is None else np.float32(bounds.minimum)
        high = None if bounds.maximum is None else np.float32(bounds.maximum)
        if low is not None or high is not None:
            values = np.clip(values, low, high)
        return self._integers(values, after)

    def _integers(self, values: Array, scale: Quantization) -> tuple[int, ...]:
        """float32 values as the runtime of the source quantizes them: halves to even."""
        with np.errstate(over="ignore"):
            if self.inverse_scales:
                steps = np.rint(values * np.float32(1.0 / scale.scale))
            else:
                steps = np.rint(values / np.float32(scale.scale))
        levels = np.nan_to_num(steps, nan=0.0) + scale.zero_point
        return tuple(int(v) for v in np.clip(levels, -128, 127))

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
        if isinstance(result.arithmetic, LookupArithmetic):
            result = dataclasses.replace(result, arithmetic=self._function(call))
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

    def _function(self, call: Call) -> LookupArithmetic:
        """The table of a function as the runtime of the source computes it, in float32."""
        before, after = call.inputs[0].quantization, call.output.quantization
        assert before is not None and after is not None
        values = operator_of(call.node).evaluate_float(call, [_real_levels(before)])
        return LookupArithmetic(self._integers(values, after))

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
        steps = weights.astype(np.float64) / scales.reshape(shape)
        integers = np.rint(steps)
        if np.abs(steps - integers).max() > 0.1:  # less by far where the scales are the channels'
            self.problems.append(
                f"{call.node}: its weight scales are not those of output channels; quantize weights "
                "per output channel or per tensor"
            )
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


def _real_levels(scale: Quantization) -> Array:
    """What the 256 levels stand for, in float32."""
    values: Array = (LEVELS - scale.zero_point).astype(np.float32) * np.float32(scale.scale)
    return values


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
