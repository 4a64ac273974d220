# SPDX-License-Identifier: Apache-2.0
"""Pads in a row become one, and a pad becomes the padding of the window that reads it.

An average counts the pad's elements, so it becomes one that counts its padding. A maximum ignores
its padding, so the pad must not exceed what the map holds.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from edgekit.converters.legalize.rewrite import Rewrite, Rules, View
from edgekit.ir import INTEGER_RANGE, Node, QGraph
from edgekit.ops._pooling import touches
from edgekit.ops.pad import Pad
from edgekit.window import Axis, Window


def drop_empty_pad(view: View, node: Node) -> Rewrite | None:
    return view.bypass(node) if not any((*node.attributes.before, *node.attributes.after)) else None


def merge_pads(view: View, node: Node) -> Rewrite | None:
    """A border around a border of the same value is one wider border."""
    first = view.producers.get(node.inputs[0])
    if first is None or first.op != "pad" or not _alike(view, first, node):
        return None
    sums = (
        tuple(a + b for a, b in zip(getattr(first.attributes, side), amounts, strict=True))
        for side, amounts in (("before", node.attributes.before), ("after", node.attributes.after))
    )
    before, after = sums
    merged: Pad = dataclasses.replace(node.attributes, before=before, after=after)
    return Rewrite((node,), (dataclasses.replace(node, inputs=first.inputs, attributes=merged),))


def _alike(view: View, first: Node, second: Node) -> bool:
    if (first.attributes.mode, second.attributes.mode) != ("constant", "constant"):
        return False
    if first.arithmetic is not None:
        return _keeps_scale(view, first) and bool(first.arithmetic == second.arithmetic)
    return bool(first.attributes.value == second.attributes.value)


def _keeps_scale(view: View, pad: Node) -> bool:
    call = view.call(pad)
    return call.inputs[0].quantization == call.output.quantization


def fold_pad_into_convolution(view: View, node: Node) -> Rewrite | None:
    """Zeros around a map are what the padding of a convolution stands for."""
    zero = 0.0 if node.arithmetic is None else node.arithmetic.input_zero_point
    pad = _map_pad(view, node)
    return _folded(pad, node) if pad is not None and _value(pad) == zero else None


def fold_pad_into_average(view: View, node: Node) -> Rewrite | None:
    """Zeros around a map are counted by the average, as padding that counts is."""
    window: Window = node.attributes.window
    axes = (window.height, window.width)
    pads = any(axis.pad_before or axis.pad_after for axis in axes)
    if pads and not node.attributes.count_padding:
        return None
    zero = 0.0 if node.arithmetic is None else node.arithmetic.zero_point
    pad = _map_pad(view, node)
    if pad is None or _value(pad) != zero or not _every_window_touches(view, pad, node):
        return None
    return _folded(pad, node, count_padding=True)


def fold_pad_into_maximum(view: View, node: Node) -> Rewrite | None:
    """A border that no element of the map lies below changes no maximum."""
    pad = _map_pad(view, node)
    if pad is None:
        return None
    if not _value(pad) <= _least(view, pad.inputs[0]) or not _every_window_touches(view, pad, node):
        return None
    return _folded(pad, node)


def _map_pad(view: View, node: Node) -> Node | None:
    """The constant pad of rows and columns in front of a node."""
    pad = view.producers.get(node.inputs[0])
    if pad is None or pad.op != "pad" or pad.attributes.mode != "constant":
        return None
    amounts = (pad.attributes.before, pad.attributes.after)
    if any(len(sides) != 4 or sides[0] or sides[3] for sides in amounts):
        return None
    return pad if not isinstance(view.graph, QGraph) or _keeps_scale(view, pad) else None


def _value(pad: Node) -> float:
    return float(pad.attributes.value if pad.arithmetic is None else pad.arithmetic.value)


def _least(view: View, tensor: str) -> float:
    """A lower bound of a map: that of its type, or the clamp of what computes it."""
    producer = view.producers.get(tensor)
    if isinstance(view.graph, QGraph):
        lowest = INTEGER_RANGE[view.tensor(tensor).dtype][0]
        return float(getattr(producer and producer.arithmetic, "minimum", lowest))
    if producer is None:
        return -math.inf
    name = "minimum" if producer.op == "requantize" else "activation_min"
    bound: float | None = getattr(producer.attributes, name, None)
    return -math.inf if bound is None else bound


def _folded(pad: Node, node: Node, **changes: Any) -> Rewrite:
    attributes = dataclasses.replace(node.attributes, window=_padded(pad, node), **changes)
    inputs = (pad.inputs[0], *node.inputs[1:])
    return Rewrite((node,), (dataclasses.replace(node, inputs=inputs, attributes=attributes),))


def _every_window_touches(view: View, pad: Node, node: Node) -> bool:
    """Whether no window would lie in padding alone, as a pooling needs it."""
    return touches(_padded(pad, node), view.tensor(pad.inputs[0]).shape)


def _padded(pad: Node, node: Node) -> Window:
    before, after = pad.attributes.before, pad.attributes.after
    window: Window = node.attributes.window
    return Window(
        _wider(window.height, before[1], after[1]), _wider(window.width, before[2], after[2])
    )


def _wider(axis: Axis, before: int, after: int) -> Axis:
    return dataclasses.replace(
        axis, pad_before=axis.pad_before + before, pad_after=axis.pad_after + after
    )


PAD_RULES: Rules = {
    "pad": (drop_empty_pad, merge_pads),
    "conv2d": (fold_pad_into_convolution,),
    "depthwise_conv2d": (fold_pad_into_convolution,),
    "average_pool2d": (fold_pad_into_average,),
    "max_pool2d": (fold_pad_into_maximum,),
}
"""For float and for integer graphs."""
