# SPDX-License-Identifier: Apache-2.0
"""The float parts of a quantized model: what lies between its scales.

A source gives scales where its runtime has integers. What it computes in between, or at the end, in
float must become integers too: by a scale that follows from those around it, or by one that the
function itself has.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from edgekit.converters.quantize.scales import quantization_of
from edgekit.ir import Call, Graph, Node, Quantization, Tensor, constant
from edgekit.ops import operator_of
from edgekit.ops.depthwise_conv2d import DepthwiseConv2d
from edgekit.ops.lookup import Lookup
from edgekit.window import Axis, Window

_MARK = Quantization(1.0, 0)
RANGES: Mapping[str, Quantization] = {
    "hard_sigmoid": Quantization(1.0 / 256.0, -128),
    "sigmoid": Quantization(1.0 / 256.0, -128),
    "softsign": Quantization(1.0 / 128.0, 0),
    "tanh": Quantization(1.0 / 128.0, 0),
}
"""Functions with a bounded range, and the scale that fills int8 with it."""


AVERAGES = frozenset({"average_pool2d", "resize_bilinear"})
"""Operators that keep a scale and mix what they read: saturating in front of them changes results."""


def scales_behind(graph: Graph, known: Mapping[str, Quantization]) -> dict[str, Quantization]:
    """The given scales, and those of what only moves or is clamped on its way to them.

    A clamp or a move in front of QuantizeLinear has the scale behind it: saturating first does not
    change what the clamp lets through, as 0 and both bounds of a type are levels.
    """
    scales = dict(known)
    readers = graph.consumers()
    results = {port.tensor for port in graph.outputs}
    for node in reversed(graph.nodes):
        (source, *_), result = node.inputs, node.outputs[0]
        alone = len(readers[source]) == 1 and source not in results
        passes = node.op not in AVERAGES and _keeps_scale(graph.call(node))
        if passes and result in scales and alone:
            scales.setdefault(source, scales[result])
    return scales


def spread_scales(graph: Graph, known: Mapping[str, Quantization]) -> dict[str, Quantization]:
    """Scales of all results that follow from the given ones.

    Behind the last QuantizeLinear, moves, clamps and means keep their input's scale, which holds all
    they compute.
    """
    scales = scales_behind(graph, known)
    readers = graph.consumers()
    for node in graph.nodes:
        source, result, call = node.inputs[0], node.outputs[0], graph.call(node)
        if result in scales:
            continue
        averaged = all(reader.op in AVERAGES for reader in readers[result])
        if (_keeps_scale(call) or node.op == "mean") and source in scales:
            scales[result] = scales[source]
        elif (own := own_scale(call)) is not None:
            scales[result] = own
        elif averaged and node.op == "lookup" and source in scales:
            scales[result] = _range_of_function(call, scales[source])
    return scales


def _range_of_function(call: Call, source: Quantization) -> Quantization:
    """The scale that holds a function of every level of its input."""
    levels = np.arange(-128, 128, dtype=np.float32) - np.float32(source.zero_point)
    values = operator_of(call.node).evaluate_float(call, [levels * np.float32(source.scale)])
    return quantization_of(float(values.min()), float(values.max()))


def _keeps_scale(call: Call) -> bool:
    """Whether input and output of a call may share their scale, whatever it is."""
    return call.node.op == "requantize" or _demanded(call) == _MARK


def _demanded(call: Call) -> Quantization | None:
    """The scale that an operator needs, _MARK where it is its input's."""
    inputs = tuple(dataclasses.replace(tensor, quantization=_MARK) for tensor in call.inputs)
    return operator_of(call.node).output_quantization(dataclasses.replace(call, inputs=inputs))


def own_scale(call: Call) -> Quantization | None:
    """The scale that a function has whatever its input is."""
    if isinstance(call.node.attributes, Lookup):
        return RANGES.get(call.node.attributes.function)
    demanded = _demanded(call)
    return None if demanded == _MARK else demanded


def with_affine_maps(graph: Graph, known: Mapping[str, Quantization]) -> Graph:
    """Batch norms that stand alone as depthwise convolutions of one tap.

    A product without a scale of its own cannot be integers, but x * a + b with one weight per
    channel can: its scale per channel makes every weight 127 or -127, exactly.
    """
    nodes: list[Node] = []
    tensors = dict(graph.tensors)
    readers = graph.consumers()
    removed: set[str] = set()
    for node in graph.nodes:
        if node.name in removed:
            continue
        follower = readers[node.outputs[0]]
        if node.op == "mul" and node.outputs[0] not in known and len(follower) == 1:
            found = _affine(graph, node, follower[0])
            if found is not None:
                constants, affine = found
                tensors |= {tensor.name: tensor for tensor in constants}
                removed.add(follower[0].name)
                nodes.append(affine)
                continue
        nodes.append(node)
    return graph.with_nodes(nodes, tensors.values()).verify() if removed else graph


def _affine(graph: Graph, product: Node, total: Node) -> tuple[tuple[Tensor, Tensor], Node] | None:
    """x * scale + shift as one convolution, where ``total`` reads the product alone."""
    x, scale = (graph.tensors[name] for name in product.inputs)
    others = [name for name in total.inputs if name != product.outputs[0]]
    if total.op != "add" or len(others) != 1:
        return None
    shift = graph.tensors[others[0]]
    if x.is_constant or not _per_channel(scale, x) or not _per_channel(shift, x):
        return None
    channels = x.shape[3]
    assert scale.data is not None and shift.data is not None
    weights = np.broadcast_to(scale.data.reshape(-1), (channels,)).reshape(1, 1, 1, channels)
    bias = np.broadcast_to(shift.data.reshape(-1), (channels,))
    constants = (
        constant(f"{product.name}/weights", weights),
        constant(f"{product.name}/bias", bias),
    )
    bounds = (total.attributes.activation_min, total.attributes.activation_max)
    attributes = DepthwiseConv2d(Window(Axis(1), Axis(1)), *bounds)
    names = (x.name, *(tensor.name for tensor in constants))
    node = dataclasses.replace(
        total, op="depthwise_conv2d", inputs=names, attributes=attributes, source=product.source
    )
    return constants, node


def _per_channel(tensor: Tensor, x: Tensor) -> bool:
    """Whether a constant has one value, or one for every channel of a map."""
    if tensor.data is None or len(x.shape) != 4:
        return False
    return tensor.elements == 1 or tensor.shape == (1, 1, 1, x.shape[3])
