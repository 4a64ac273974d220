# SPDX-License-Identifier: Apache-2.0
"""A clamp goes into the operator in front of it, where that can clamp by itself."""

from __future__ import annotations

import dataclasses

from edgekit.converters.legalize.rewrite import Rewrite, Rules, View
from edgekit.ir import Node
from edgekit.ops.requantize import Requantize

Bounds = tuple[float | None, float | None]
"""Least and greatest value; None is no bound."""


def can_clamp(node: Node) -> bool:
    """Whether the operator of a float node has a clamp of its own."""
    return hasattr(node.attributes, "activation_min")


def bounds_of(node: Node) -> Bounds:
    """The clamp of a node that can clamp."""
    return node.attributes.activation_min, node.attributes.activation_max


def is_unclamped(node: Node) -> bool:
    """Whether a node could clamp but does not."""
    return can_clamp(node) and bounds_of(node) == (None, None)


def fold_clamp(view: View, node: Node) -> Rewrite | None:
    """A clamp behind an operator that can clamp by itself."""
    producer = view.exclusive_producer(node.inputs[0])
    if producer is None or not can_clamp(producer):
        return None
    bounds = (node.attributes.minimum, node.attributes.maximum)
    low, high = _clamp_clamp(bounds_of(producer), bounds)
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
    if behind is None or (producer.op == "max_pool2d" and not can_clamp(behind)):
        return None
    clamped = dataclasses.replace(view.tensor(source), name=f"{source}/{node.name}")
    clamp = dataclasses.replace(node, inputs=(source,), outputs=(clamped.name,))
    moved = dataclasses.replace(producer, inputs=(clamped.name,), outputs=node.outputs)
    return Rewrite((producer, node), (clamp, moved), (clamped,))


def drop_unbounded_clamp(view: View, node: Node) -> Rewrite | None:
    attributes = node.attributes
    unbounded = attributes.minimum is None and attributes.maximum is None
    return view.bypass(node) if unbounded else None


def _clamp_clamp(first: Bounds, second: Bounds) -> Bounds:
    """The bounds of clamp(clamp(x, first), second)."""
    low, high = second

    def clamped(bound: float | None, default: float | None) -> float | None:
        if bound is None:
            return default
        bound = bound if low is None else max(bound, low)
        return bound if high is None else min(bound, high)

    return clamped(first[0], low), clamped(first[1], high)


CLAMP_RULES: Rules = {
    "requantize": (drop_unbounded_clamp, merge_clamps, hoist_clamp, fold_clamp),
}
"""For float graphs."""
