# SPDX-License-Identifier: Apache-2.0
"""Folds what a convolution can do by itself into it: scales, shifts, clamps and zero padding.

Batch normalisation arrives as a multiplication and an addition of channel vectors. Every rule
keeps the function of the graph; folding scales changes float rounding only.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgekit.converters.boundary_layout import with_nhwc_inputs
from edgekit.converters.fold_constants import fold_constant_nodes
from edgekit.converters.legalize_activations import (
    FLOAT_ACTIVATION_RULES,
    INTEGER_ACTIVATION_RULES,
)
from edgekit.converters.legalize_branches import fold_branches
from edgekit.converters.legalize_concat import CONCAT_RULES
from edgekit.converters.legalize_forward import fold_scale_in_front, fold_shift_in_front
from edgekit.converters.legalize_identities import FLOAT_IDENTITY_RULES, INTEGER_IDENTITY_RULES
from edgekit.converters.legalize_layout import LAYOUT_RULES, fold_flatten_order
from edgekit.converters.legalize_moves import MOVE_RULES
from edgekit.converters.legalize_pads import PAD_RULES
from edgekit.converters.legalize_sink import SINK_RULES
from edgekit.converters.legalize_tall_windows import TALL_WINDOW_RULES
from edgekit.converters.rewrite import Rewrite, View, merged, rewrite
from edgekit.ir import Array, Call, Graph, Node, QGraph, Shape, constant
from edgekit.ops._pooling import touches
from edgekit.ops.requantize import Requantize
from edgekit.window import Axis, Window

CHANNEL_AXIS: Mapping[str, int] = {
    "conv2d": 0,
    "depthwise_conv2d": 3,
    "fully_connected": 0,
    "transposed_conv2d": 0,
}
"""Operators with weights, and the axis of the weights that counts output channels."""
WEIGHTS, BIAS = 1, 2


def legalize(graph: Graph) -> Graph:
    """The same float function with fewer operators (see the rules below)."""
    return rewrite(fold_constant_nodes(graph), FLOAT_RULES).verify()


def legalize_integer(graph: QGraph) -> QGraph:
    """The same integer function, bit for bit, with fewer operators; see also boundary_layout.py."""
    return with_nhwc_inputs(fold_constant_nodes(graph), _rewritten).verify()


def _rewritten(graph: QGraph) -> QGraph:
    return rewrite(graph, INTEGER_RULES)


def fold_scale(view: View, node: Node) -> Rewrite | None:
    """(W x + b) * s is (s W) x + s b, for one s per output channel."""
    found = _weighted_producer_and_vector(view, node)
    if found is None:
        return None
    call, vector = found
    axis = CHANNEL_AXIS[call.node.op]
    weights = call.constant(WEIGHTS)
    shape = [-1 if i == axis else 1 for i in range(weights.ndim)]
    bias = call.constant(BIAS) * vector if len(call.inputs) > BIAS else None
    return _reweighted(call, node, weights * vector.reshape(shape), bias)


def fold_shift(view: View, node: Node) -> Rewrite | None:
    """(W x + b) + t is W x + (b + t), for one t per output channel."""
    found = _weighted_producer_and_vector(view, node)
    if found is None:
        return None
    call, vector = found
    bias = vector + call.constant(BIAS) if len(call.inputs) > BIAS else vector
    return _reweighted(call, node, None, bias)


def _weighted_producer_and_vector(view: View, node: Node) -> tuple[Call, Array] | None:
    """The unclamped weighted call in front of a channel-wise node, and its vector (float64)."""
    call = view.call(node)
    activations, constants = call.activations, [t for t in call.inputs if t.is_constant]
    if len(activations) != 1 or len(constants) != 1 or constants[0].data is None:
        return None
    producer = view.exclusive_producer(activations[0].name)
    if producer is None or producer.op not in CHANNEL_AXIS or _clamp_of(producer) != (None, None):
        return None
    weighted = view.call(producer)
    channels = weighted.output.shape[-1]
    if weighted.output.shape != call.output.shape or not _is_vector(constants[0].shape, channels):
        return None
    vector = np.broadcast_to(constants[0].data.astype(np.float64).reshape(-1), (channels,))
    return weighted, vector


def _is_vector(shape: Shape, channels: int) -> bool:
    return all(size == 1 for size in shape[:-1]) and (not shape or shape[-1] in (1, channels))


def _reweighted(call: Call, last: Node, weights: Array | None, bias: Array | None) -> Rewrite:
    """The weighted node with other constants, which takes the place and the clamp of ``last``."""
    node, inputs, tensors = call.node, list(call.node.inputs), []
    for position, label, data in ((WEIGHTS, "weights", weights), (BIAS, "bias", bias)):
        if data is not None:
            tensors.append(constant(f"{node.name}/{label}", data.astype(np.float32)))
            inputs[position:] = [tensors[-1].name, *inputs[position + 1 :]]
    low, high = _clamp_of(last)
    folded = dataclasses.replace(
        node,
        inputs=tuple(inputs),
        outputs=last.outputs,
        attributes=dataclasses.replace(node.attributes, activation_min=low, activation_max=high),
    )
    return Rewrite((node, last), (folded,), tuple(tensors))


def _clamp_of(node: Node) -> tuple[float | None, float | None]:
    return node.attributes.activation_min, node.attributes.activation_max


def _can_clamp(node: Node) -> bool:
    return hasattr(node.attributes, "activation_min")


def _clamp_clamp(
    first: tuple[float | None, float | None], second: tuple[float | None, float | None]
) -> tuple[float | None, float | None]:
    """The bounds of clamp(clamp(x, first), second)."""
    low, high = second

    def clamped(bound: float | None, default: float | None) -> float | None:
        if bound is None:
            return default
        bound = bound if low is None else max(bound, low)
        return bound if high is None else min(bound, high)

    return clamped(first[0], low), clamped(first[1], high)


def fold_clamp(view: View, node: Node) -> Rewrite | None:
    """A clamp behind an operator that can clamp by itself."""
    producer = view.exclusive_producer(node.inputs[0])
    if producer is None or not _can_clamp(producer):
        return None
    bounds = (node.attributes.minimum, node.attributes.maximum)
    low, high = _clamp_clamp(_clamp_of(producer), bounds)
    attributes = dataclasses.replace(producer.attributes, activation_min=low, activation_max=high)
    clamped = dataclasses.replace(producer, outputs=node.outputs, attributes=attributes)
    return Rewrite((producer, node), (clamped,))


def merge_clamps(view: View, node: Node) -> Rewrite | None:
    producer = view.exclusive_producer(node.inputs[0])
    if producer is None or producer.op != "requantize":
        return None
    first = (producer.attributes.minimum, producer.attributes.maximum)
    bounds = _clamp_clamp(first, (node.attributes.minimum, node.attributes.maximum))
    merged = dataclasses.replace(node, inputs=producer.inputs, attributes=Requantize(*bounds))
    return Rewrite((producer, node), (merged,))


def hoist_clamp(view: View, node: Node) -> Rewrite | None:
    """A clamp commutes with what moves data and with a maximum; further in front it may fold."""
    producer = view.exclusive_producer(node.inputs[0])
    if producer is None or producer.op not in ("reshape", "transpose", "max_pool2d"):
        return None
    source = producer.inputs[0]
    behind = view.exclusive_producer(source)
    if behind is None or (producer.op == "max_pool2d" and not _can_clamp(behind)):
        return None
    clamped = dataclasses.replace(view.tensor(source), name=f"{source}/{node.name}")
    clamp = dataclasses.replace(node, inputs=(source,), outputs=(clamped.name,))
    moved = dataclasses.replace(producer, inputs=(clamped.name,), outputs=node.outputs)
    return Rewrite((producer, node), (clamp, moved), (clamped,))


def drop_unbounded_clamp(view: View, node: Node) -> Rewrite | None:
    attributes = node.attributes
    unbounded = attributes.minimum is None and attributes.maximum is None
    return view.bypass(node) if unbounded else None


def drop_empty_pad(view: View, node: Node) -> Rewrite | None:
    return view.bypass(node) if not any((*node.attributes.before, *node.attributes.after)) else None


def fold_pad(view: View, node: Node) -> Rewrite | None:
    """Zeros around a map become padding of the convolution that reads it.

    Minus infinity around a map becomes padding of a maximum in the same way.
    """
    pad = view.producers.get(node.inputs[0])
    if pad is None or pad.op != "pad" or not _pads_zero(view, pad, node):
        return None
    before, after = pad.attributes.before, pad.attributes.after
    if len(before) != 4 or any((before[0], after[0], before[3], after[3])):
        return None
    window: Window = node.attributes.window
    padded = Window(
        _more_padding(window.height, before[1], after[1]),
        _more_padding(window.width, before[2], after[2]),
    )
    if node.op == "max_pool2d" and not touches(padded, view.tensor(pad.inputs[0]).shape):
        return None
    attributes = dataclasses.replace(node.attributes, window=padded)
    inputs = (pad.inputs[0], *node.inputs[1:])
    return Rewrite((node,), (dataclasses.replace(node, inputs=inputs, attributes=attributes),))


def _more_padding(axis: Axis, before: int, after: int) -> Axis:
    return dataclasses.replace(
        axis, pad_before=axis.pad_before + before, pad_after=axis.pad_after + after
    )


def _pads_zero(view: View, pad: Node, reader: Node) -> bool:
    """Whether the pad writes what the reader's own padding stands for."""
    if pad.attributes.mode != "constant":
        return False
    if not isinstance(view.graph, QGraph):
        neutral = -math.inf if reader.op == "max_pool2d" else 0.0
        return bool(pad.attributes.value == neutral)
    arithmetic: Any = reader.arithmetic
    call = view.call(pad)
    same_scale = call.inputs[0].quantization == call.output.quantization
    return same_scale and pad.arithmetic.value == arithmetic.input_zero_point


FORWARD = (fold_scale_in_front, fold_shift_in_front)
FLOAT_RULES = merged(
    LAYOUT_RULES,
    {
        "mul": (fold_scale,),
        "add": (fold_shift, fold_branches),
        "requantize": (drop_unbounded_clamp, merge_clamps, hoist_clamp, fold_clamp),
        "pad": (drop_empty_pad,),
        "conv2d": (fold_pad, *FORWARD),
        "depthwise_conv2d": (fold_pad, *FORWARD),
        "max_pool2d": (fold_pad,),
        "fully_connected": (fold_flatten_order, *FORWARD),
    },
    PAD_RULES,
    FLOAT_IDENTITY_RULES,
    FLOAT_ACTIVATION_RULES,
    CONCAT_RULES,
    MOVE_RULES,
    SINK_RULES,
)
INTEGER_RULES = merged(
    LAYOUT_RULES,
    {
        "pad": (drop_empty_pad,),
        "conv2d": (fold_pad,),
        "depthwise_conv2d": (fold_pad,),
    },
    PAD_RULES,
    INTEGER_IDENTITY_RULES,
    INTEGER_ACTIVATION_RULES,
    MOVE_RULES,
    SINK_RULES,
    TALL_WINDOW_RULES,
)
