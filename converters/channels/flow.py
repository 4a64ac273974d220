# SPDX-License-Identifier: Apache-2.0
"""How channels pass through operators that keep them apart: bounds, and which belong together.

Operators that are not listed mix channels in ways unknown here: their tensors stay as they are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edgekit.converters.channels.bounds import ELEMENTWISE, Bounds, Transfer, channel_count
from edgekit.converters.channels.sums import weighted_bounds
from edgekit.ir import Array, Call
from edgekit.ops import operator_of
from edgekit.ops.mean import extents

Links = Array
"""(n, 2): channels of one input and of the output that go or stay together."""
MIXING = frozenset({"conv2d", "fully_connected", "transposed_conv2d"})
"""Operators that sum over channels; constant inputs become part of their bias."""


def _same_channels(call: Call, position: int) -> Links | None:
    """Channel i of the input is channel i of the output; one channel that is repeated is apart."""
    channels = channel_count(call.inputs[position])
    if channels == channel_count(call.output):
        return _pairs(np.arange(channels), np.arange(channels))
    return None


def _depthwise(call: Call, position: int) -> Links:
    outputs = np.arange(channel_count(call.output))
    return _pairs(outputs // (len(outputs) // channel_count(call.inputs[0])), outputs)


def _reshape(call: Call, position: int) -> Links | None:
    """Only where each channel of the output is one of the input, as in flattening a map."""
    source, result = channel_count(call.inputs[0]), channel_count(call.output)
    if result % source or not call.output.shape:
        return None
    return _pairs(np.arange(result) % source, np.arange(result))


def _pad(call: Call, position: int) -> Links | None:
    attributes = call.node.attributes
    pads_channels = attributes.before[-1:] != (0,) or attributes.after[-1:] != (0,)
    return None if pads_channels else _same_channels(call, position)


def _mean(call: Call, position: int) -> Links | None:
    keeps = len(call.inputs[0].shape) - 1 not in call.node.attributes.axes
    return _same_channels(call, position) if keeps else None


def _transpose(call: Call, position: int) -> Links | None:
    order = call.node.attributes.permutation
    return _same_channels(call, position) if order[-1:] == (len(order) - 1,) else None


def _concat(call: Call, position: int) -> Links | None:
    """Behind the channels of the inputs in front; along another axis all inputs share theirs."""
    if len(call.activations) < len(call.inputs):
        return None
    if call.node.attributes.axis != len(call.output.shape) - 1:
        return _same_channels(call, position)
    first = sum(channel_count(tensor) for tensor in call.inputs[:position])
    channels = np.arange(channel_count(call.inputs[position]))
    return _pairs(channels, first + channels)


def _slice(call: Call, position: int) -> Links | None:
    """Channels that are not taken are linked to nothing: this call does not read them."""
    attributes = call.node.attributes
    if attributes.strides[-1:] != (1,):
        return None
    channels = np.arange(channel_count(call.output))
    return _pairs(attributes.begin[-1] + channels, channels)


def _pairs(inputs: Array, outputs: Array) -> Links:
    return np.stack([inputs, outputs], axis=1)


LINKS: Mapping[str, Callable[[Call, int], Links | None]] = {
    **dict.fromkeys(ELEMENTWISE, _same_channels),
    **dict.fromkeys(("average_pool2d", "max_pool2d"), _same_channels),
    "concat": _concat,
    "depthwise_conv2d": _depthwise,
    "mean": _mean,
    "pad": _pad,
    "reshape": _reshape,
    **dict.fromkeys(("resize_bilinear", "resize_nearest"), _same_channels),
    "slice": _slice,
    "tile": _reshape,
    "transpose": _transpose,
}
"""For an input of a call: the links, or None where its channels are not apart in the output."""


def links_of(call: Call) -> dict[int, Links] | None:
    """The links of every activation by position; None where the call's tensors must stay whole."""
    find = LINKS.get(call.node.op)
    if find is None:
        return None
    found: dict[int, Links] = {}
    for position, tensor in enumerate(call.inputs):
        if tensor.is_constant:
            continue
        links = find(call, position)
        if links is not None:
            found[position] = links
        elif call.node.op not in ELEMENTWISE or channel_count(tensor) != 1:
            return None
    return found


def _pooled(call: Call, inputs: Sequence[Bounds]) -> Bounds:
    """A mean or maximum lies between its elements; padding that counts is the zero point."""
    arithmetic, (source,) = call.node.arithmetic, inputs
    if getattr(call.node.attributes, "count_padding", False):
        zero = np.full(len(source.low), arithmetic.zero_point, np.int64)
        source = source.joined(Bounds(zero, zero))
    return source.clipped(arithmetic.minimum, arithmetic.maximum)


def _padded(call: Call, inputs: Sequence[Bounds]) -> Bounds | None:
    attributes, (source,) = call.node.attributes, inputs
    if attributes.mode != "constant":
        return source if _pad(call, 0) is not None else None
    value = np.full(len(source.low), call.node.arithmetic.value, np.int64)
    if any((*attributes.before[:-1], *attributes.after[:-1])):
        source = source.joined(Bounds(value, value))
    ends = [
        np.full(n, call.node.arithmetic.value)
        for n in (attributes.before[-1], attributes.after[-1])
    ]
    return Bounds(
        *(np.concatenate([ends[0], bound, ends[1]]) for bound in (source.low, source.high))
    )


def _averaged(call: Call, inputs: Sequence[Bounds]) -> Bounds | None:
    """The operator's own result for maps that are constant; it is monotone, unless it wraps."""
    if _mean(call, 0) is None or call.inputs[0].dtype != "int8":
        return None
    arithmetic, shape = call.node.arithmetic, call.inputs[0].shape
    if extents(call).count << max(arithmetic.shift, 0) > 2**23:
        return None
    operator, dtype = operator_of(call.node), call.inputs[0].dtype
    ends = []
    for bound in (inputs[0].low, inputs[0].high):
        x = np.broadcast_to(bound.astype(dtype), shape)
        result = operator.evaluate(call, [x]).reshape(-1, shape[-1])
        ends.append(result[0].astype(np.int64))
    return Bounds(*ends)


def _joined(call: Call, inputs: Sequence[Bounds]) -> Bounds | None:
    """Each input by the operator's own results for all integers: it may rescale."""
    if any(tensor.dtype != "int8" for tensor in call.inputs):
        return None
    axis, rank = call.node.attributes.axis, len(call.output.shape)
    every = (
        np.arange(-128, 128).astype(np.int8).reshape([-1 if i == axis else 1 for i in range(rank)])
    )
    tables = operator_of(call.node).evaluate(call, [every] * len(inputs)).reshape(-1, 256)
    parts = []
    for table, source in zip(tables.astype(np.int64), inputs, strict=True):
        spans = [table[a + 128 : b + 129] for a, b in zip(source.low, source.high, strict=True)]
        parts.append(Bounds(*(np.array([f(s) for s in spans], np.int64) for f in (np.min, np.max))))
    if axis != rank - 1:
        return functools.reduce(Bounds.joined, parts)
    return Bounds(*(np.concatenate([getattr(p, end) for p in parts]) for end in ("low", "high")))


def _moved(call: Call, inputs: Sequence[Bounds]) -> Bounds | None:
    """Data that moves, or means of neighbours: linked channels keep their bounds, others share the widest."""
    links = LINKS[call.node.op](call, 0)
    if links is not None:
        return inputs[0].at(links[:, 0])
    low, high = inputs[0].low.min(), inputs[0].high.max()
    count = channel_count(call.output)
    return Bounds(np.full(count, low), np.full(count, high))


TRANSFERS: Mapping[str, Transfer] = {
    **dict.fromkeys(MIXING | {"depthwise_conv2d"}, weighted_bounds),
    **dict.fromkeys(("average_pool2d", "max_pool2d"), _pooled),
    **dict.fromkeys(("reshape", "slice", "tile", "transpose"), _moved),
    **dict.fromkeys(("resize_bilinear", "resize_nearest"), _moved),
    "concat": _joined,
    "mean": _averaged,
    "pad": _padded,
}
"""The bounds of outputs by operator, besides the elementwise ones."""
