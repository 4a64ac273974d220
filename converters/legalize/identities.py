# SPDX-License-Identifier: Apache-2.0
"""Operators that change nothing go, and a clamp of integers into the operator in front.

A function of an int8 element is its 256 results, so what it does is known exactly.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from edgekit.converters.legalize.clamps import is_unclamped
from edgekit.converters.legalize.rewrite import Rewrite, Rules, View, merged
from edgekit.ir import INTEGER_RANGE, Array, Node, QGraph
from edgekit.ops import operator_of
from edgekit.window import Axis

LOW, HIGH = INTEGER_RANGE["int8"]


def drop_pool_of_one_pixel(view: View, node: Node) -> Rewrite | None:
    window = node.attributes.window
    if any(axis != Axis(1, dilation=axis.dilation) for axis in (window.height, window.width)):
        return None
    return view.bypass(node) if not _clamps(view, node) else None


def drop_whole_slice(view: View, node: Node) -> Rewrite | None:
    forward = all(stride > 0 for stride in node.attributes.strides)
    same_shape = view.tensor(node.inputs[0]).shape == view.tensor(node.outputs[0]).shape
    return view.bypass(node) if forward and same_shape else None


def drop_single_tile(view: View, node: Node) -> Rewrite | None:
    return view.bypass(node) if set(node.attributes.multiples) <= {1} else None


def drop_concat_of_one(view: View, node: Node) -> Rewrite | None:
    if len(node.inputs) != 1 or (node.arithmetic is not None and not node.arithmetic.copies(0)):
        return None
    return view.bypass(node) if _same_scale(view, node) else None


def drop_neutral_constant(view: View, node: Node) -> Rewrite | None:
    """x + 0 and x * 1 in a float graph."""
    call = view.call(node)
    constants = [tensor.data for tensor in call.inputs if tensor.data is not None]
    if len(constants) != 1 or not np.all(constants[0] == (0.0 if node.op == "add" else 1.0)):
        return None
    (source,) = call.activations
    if source.shape != call.output.shape or _clamps(view, node):
        return None
    if source.name != node.inputs[0]:
        node = dataclasses.replace(node, inputs=tuple(reversed(node.inputs)))
    return view.bypass(node)


def drop_identity_function(view: View, node: Node) -> Rewrite | None:
    """A function of one integer that returns it."""
    table = _table(view, node)
    if table is None or not np.array_equal(table, np.arange(LOW, HIGH + 1)):
        return None
    return view.bypass(node) if _same_scale(view, node) else None


def fold_integer_clamp(view: View, node: Node) -> Rewrite | None:
    """A clamp of integers behind an operator that clamps its integers anyway."""
    table, producer = _table(view, node), view.exclusive_producer(node.inputs[0])
    if table is None or producer is None or not _same_scale(view, node):
        return None
    low, high = int(table.min()), int(table.max())
    if not np.array_equal(table, np.clip(np.arange(LOW, HIGH + 1), low, high)):
        return None
    first = producer.arithmetic
    if not hasattr(first, "minimum") or not hasattr(first, "maximum"):
        return None
    bounds = (int(np.clip(bound, low, high)) for bound in (first.minimum, first.maximum))
    minimum, maximum = bounds
    arithmetic = dataclasses.replace(first, minimum=minimum, maximum=maximum)
    clamped = dataclasses.replace(producer, outputs=node.outputs, arithmetic=arithmetic)
    return Rewrite((producer, node), (clamped,))


def _table(view: View, node: Node) -> Array | None:
    """The results of a function of one int8 for all of them, int8 (256,)."""
    call = view.call(node)
    types = {tensor.dtype for tensor in (*call.inputs, call.output)}
    if not isinstance(view.graph, QGraph) or len(call.inputs) != 1 or types != {"int8"}:
        return None
    every = np.arange(LOW, HIGH + 1).astype(np.int8)
    return operator_of(node).evaluate(call, [every])


def _clamps(view: View, node: Node) -> bool:
    if isinstance(view.graph, QGraph):
        low, high = INTEGER_RANGE[view.tensor(node.outputs[0]).dtype]
        return bool(node.arithmetic.minimum > low or node.arithmetic.maximum < high)
    return not is_unclamped(node)


def _same_scale(view: View, node: Node) -> bool:
    call = view.call(node)
    return call.inputs[0].quantization == call.output.quantization


IDENTITY_RULES: Rules = {
    "average_pool2d": (drop_pool_of_one_pixel,),
    "concat": (drop_concat_of_one,),
    "max_pool2d": (drop_pool_of_one_pixel,),
    "slice": (drop_whole_slice,),
    "tile": (drop_single_tile,),
}
"""For float and for integer graphs."""
FLOAT_IDENTITY_RULES = merged(
    IDENTITY_RULES, dict.fromkeys(("add", "mul"), (drop_neutral_constant,))
)
FUNCTION_RULES = (drop_identity_function, fold_integer_clamp)
INTEGER_IDENTITY_RULES = merged(
    IDENTITY_RULES, {"lookup": FUNCTION_RULES, "requantize": FUNCTION_RULES}
)
