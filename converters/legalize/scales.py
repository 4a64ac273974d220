# SPDX-License-Identifier: Apache-2.0
"""Scales and shifts of channels go into the weights and the bias behind or in front of them.

Batch normalisation arrives as a multiplication and an addition of channel vectors. In front of a
layer, zeros around the map stay zeros under a scale, but not under a shift: with zero padding a shift
is no function of the convolution behind it, so it stays where it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from edgekit.converters.legalize.clamps import bounds_of, is_unclamped
from edgekit.converters.legalize.rewrite import Rewrite, Rules, View
from edgekit.ir import Array, Call, Node, Tensor, constant
from edgekit.ops._weight_channels import OUTPUT_AXIS, per_input_channel, per_output_channel

INPUT, WEIGHTS, BIAS = 0, 1, 2


def channel_vector(data: Array, channels: int) -> Array | None:
    """A constant that is the same at every pixel, float64 (channels,); None where it is not."""
    if any(size != 1 for size in data.shape[:-1]) or data.shape[-1:] not in ((), (1,), (channels,)):
        return None
    return np.broadcast_to(data.reshape(-1).astype(np.float64), (channels,))


def map_and_vector(call: Call) -> tuple[Tensor, Array] | None:
    """The map and the channel vector (float64) that a node combines without broadcasting the map."""
    constants = [tensor.data for tensor in call.inputs if tensor.data is not None]
    activations = call.activations
    if len(activations) != 1 or len(constants) != 1 or activations[0].shape != call.output.shape:
        return None
    channels = call.output.shape[-1] if call.output.shape else 1
    vector = channel_vector(constants[0], channels)
    return None if vector is None else (activations[0], vector)


def fold_scale(view: View, node: Node) -> Rewrite | None:
    """(W x + b) * s is (s W) x + s b, for one s per output channel."""
    found = _weighted_producer_and_vector(view, node)
    if found is None:
        return None
    call, vector = found
    weights = call.constant(WEIGHTS)
    factors = per_output_channel(call.node.op, weights.shape, vector)
    bias = call.constant(BIAS) * vector if len(call.inputs) > BIAS else None
    return _reweighted(call, node, weights * factors, bias)


def fold_shift(view: View, node: Node) -> Rewrite | None:
    """(W x + b) + t is W x + (b + t), for one t per output channel."""
    found = _weighted_producer_and_vector(view, node)
    if found is None:
        return None
    call, vector = found
    bias = vector + call.constant(BIAS) if len(call.inputs) > BIAS else vector
    return _reweighted(call, node, None, bias)


def _weighted_producer_and_vector(view: View, node: Node) -> tuple[Call, Array] | None:
    """The unclamped weighted call in front of a channel-wise node, and its vector."""
    found = map_and_vector(view.call(node))
    producer = None if found is None else view.exclusive_producer(found[0].name)
    if found is None or producer is None or producer.op not in OUTPUT_AXIS:
        return None
    return (view.call(producer), found[1]) if is_unclamped(producer) else None


def _reweighted(call: Call, last: Node, weights: Array | None, bias: Array | None) -> Rewrite:
    """The weighted node with other constants, which takes the place and the clamp of ``last``."""
    node = call.node
    tensors = _constants(node, weights, bias)
    low, high = bounds_of(last)
    folded = dataclasses.replace(
        node,
        inputs=_with_constants(node.inputs, tensors),
        outputs=last.outputs,
        attributes=dataclasses.replace(node.attributes, activation_min=low, activation_max=high),
    )
    return Rewrite((node, last), (folded,), tuple(tensors.values()))


def fold_scale_in_front(view: View, node: Node) -> Rewrite | None:
    """W (s x) + b is (W s) x + b, for one s per input channel."""
    found = _vector_in_front(view, node, "mul")
    if found is None:
        return None
    source, vector = found
    weights = view.call(node).constant(WEIGHTS)
    return _reweighted_reading(
        view, node, source, weights * per_input_channel(node.op, weights.shape, vector), None
    )


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
    products = weights * per_input_channel(node.op, weights.shape, vector)
    axis = OUTPUT_AXIS[node.op]
    bias = products.sum(axis=tuple(i for i in range(products.ndim) if i != axis))
    if len(call.inputs) > BIAS:
        bias = bias + call.constant(BIAS)
    return _reweighted_reading(view, node, source, None, bias)


def _vector_in_front(view: View, node: Node, op: str) -> tuple[str, Array] | None:
    """The map in front of an unclamped channel-wise node that only ``node`` reads, and its vector."""
    producer = view.exclusive_producer(node.inputs[INPUT])
    if producer is None or producer.op != op or not is_unclamped(producer):
        return None
    found = map_and_vector(view.call(producer))
    if found is None:
        return None
    source, vector = found
    if node.op == "fully_connected" and view.tensor(node.inputs[WEIGHTS]).shape[1] != vector.size:
        return None
    return source.name, vector


def _reweighted_reading(
    view: View, node: Node, source: str, weights: Array | None, bias: Array | None
) -> Rewrite:
    """The weighted node with other constants, which reads ``source``."""
    tensors = {
        position: dataclasses.replace(tensor, name=_fresh(view, tensor.name))
        for position, tensor in _constants(node, weights, bias).items()
    }
    inputs = _with_constants((source, *node.inputs[WEIGHTS:]), tensors)
    return Rewrite((node,), (dataclasses.replace(node, inputs=inputs),), tuple(tensors.values()))


def _fresh(view: View, name: str) -> str:
    while name in view.graph.tensors:
        name += "_"
    return name


def _constants(node: Node, weights: Array | None, bias: Array | None) -> dict[int, Tensor]:
    """The new constants by input position."""
    arrays = {WEIGHTS: ("weights", weights), BIAS: ("bias", bias)}
    with np.errstate(over="ignore"):  # Inf, which verify() refuses
        return {
            position: constant(f"{node.name}/{label}", data.astype(np.float32))
            for position, (label, data) in arrays.items()
            if data is not None
        }


def _with_constants(inputs: tuple[str, ...], tensors: Mapping[int, Tensor]) -> tuple[str, ...]:
    """The inputs with others at some positions; a bias may be added at the end."""
    names = list(inputs)
    for position, tensor in tensors.items():
        names[position : position + 1] = [tensor.name]
    return tuple(names)


IN_FRONT = (fold_scale_in_front, fold_shift_in_front)
SCALE_RULES: Rules = {
    "mul": (fold_scale,),
    "add": (fold_shift,),
    **dict.fromkeys(("conv2d", "depthwise_conv2d", "fully_connected"), IN_FRONT),
}
"""For float graphs."""
