# SPDX-License-Identifier: Apache-2.0
"""A scale or shift in front of a convolution goes into its weights, where its padding allows it.

Zeros around the map stay zeros under a scale, but not under a shift: with zero padding a shift in
front is no function of the convolution behind it, so it stays where it is.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from edgekit.converters.rewrite import Rewrite, View
from edgekit.ir import Array, Call, Node, Tensor, constant

INPUT, WEIGHTS, BIAS = 0, 1, 2


def fold_scale_in_front(view: View, node: Node) -> Rewrite | None:
    """W (s x) + b is (W s) x + b, for one s per input channel."""
    found = _vector_in_front(view, node, "mul")
    if found is None:
        return None
    source, vector = found
    weights = view.call(node).constant(WEIGHTS)
    return _reweighted(view, node, source, weights * _per_weight(node, weights, vector), None)


def fold_shift_in_front(view: View, node: Node) -> Rewrite | None:
    """W (x + t) + b is W x + (W t + b), where no tap lies in padding."""
    window = getattr(node.attributes, "window", None)
    if window is not None:
        axes = (window.height, window.width)
        if any(axis.pad_before or axis.pad_after for axis in axes):
            return None
    found = _vector_in_front(view, node, "add")
    if found is None:
        return None
    source, vector = found
    call = view.call(node)
    weights = call.constant(WEIGHTS)
    products = weights * _per_weight(node, weights, vector)
    channel_axis = 3 if node.op == "depthwise_conv2d" else 0
    bias = products.sum(axis=tuple(i for i in range(products.ndim) if i != channel_axis))
    if len(call.inputs) > BIAS:
        bias = bias + call.constant(BIAS)
    return _reweighted(view, node, source, None, bias)


def _vector_in_front(view: View, node: Node, op: str) -> tuple[str, Array] | None:
    """The map in front of an unclamped channel-wise node that only ``node`` reads, and its vector."""
    producer = view.exclusive_producer(node.inputs[INPUT])
    if producer is None or producer.op != op:
        return None
    attributes = producer.attributes
    if (attributes.activation_min, attributes.activation_max) != (None, None):
        return None
    call: Call = view.call(producer)
    constants = [tensor for tensor in call.inputs if tensor.data is not None]
    if len(constants) != 1 or call.activations[0].shape != call.output.shape:
        return None
    channels, shape = call.output.shape[-1], constants[0].shape
    fits = shape[-1:] in ((), (1,), (channels,)) and all(size == 1 for size in shape[:-1])
    if not fits or (node.op == "fully_connected" and _columns(view, node) != channels):
        return None
    data = constants[0].data
    assert data is not None
    vector = np.broadcast_to(data.astype(np.float64).reshape(-1), (channels,))
    return call.activations[0].name, vector


def _columns(view: View, node: Node) -> int:
    return int(view.tensor(node.inputs[WEIGHTS]).shape[1])


def _per_weight(node: Node, weights: Array, vector: Array) -> Array:
    """The entry of ``vector`` that belongs to the input channel of every weight (broadcasting)."""
    if node.op == "depthwise_conv2d":
        return np.repeat(vector, weights.shape[3] // vector.size)
    if node.op == "fully_connected":
        return vector
    by_group = vector.reshape(-1, weights.shape[3])
    per_output = np.repeat(by_group, weights.shape[0] // by_group.shape[0], axis=0)
    return per_output[:, np.newaxis, np.newaxis]


def _reweighted(
    view: View, node: Node, source: str, weights: Array | None, bias: Array | None
) -> Rewrite:
    inputs, tensors = [source, *node.inputs[WEIGHTS:]], list[Tensor]()
    for position, label, data in ((WEIGHTS, "weights", weights), (BIAS, "bias", bias)):
        if data is not None:
            name = f"{node.name}/{label}"
            while name in view.graph.tensors:
                name += "_"
            tensors.append(constant(name, data.astype(np.float32)))
            inputs[position:] = [name, *inputs[position + 1 :]]
    return Rewrite((node,), (dataclasses.replace(node, inputs=tuple(inputs)),), tuple(tensors))
