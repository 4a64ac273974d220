# SPDX-License-Identifier: Apache-2.0
"""Normalizations that a model spells out, x over its length or (x - mean) over its deviation.

In int8, the squares and their sum would lose what the one operator computes exactly.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from edgekit.converters.legalize.clamps import is_unclamped
from edgekit.converters.legalize.rewrite import Rewrite, Rules, View
from edgekit.converters.legalize.scales import map_and_vector
from edgekit.ir import Array, Node, Tensor, constant
from edgekit.ops.l2_normalization import EPSILON, L2Normalization
from edgekit.ops.layer_normalization import BETA, GAMMA, LayerNormalization
from edgekit.ops.transpose import Transpose

ROOTS = ("sqrt", "rsqrt")


@dataclass(frozen=True)
class Divisor:
    """What a map is multiplied with: 1 / sqrt(total + epsilon), at least ``least`` before 1 / x."""

    total: Node
    epsilon: float
    least: float


def fuse_l2_normalization(view: View, node: Node) -> Rewrite | None:
    """x / max(sqrt(sum(x * x)), tiny) along one axis."""
    for x, factor in _orders(node):
        divisor = _divisor(view, factor)
        if divisor is None or max(divisor.least, divisor.epsilon) > EPSILON:
            continue
        total, axis = divisor.total, _only_axis(view, divisor.total)
        if total.op == "sum" and axis is not None and _square_of(view, total) == x:
            added, tensors = _along_axis(view, node, x, axis)
            return Rewrite((node,), added, tensors)
    return None


def fuse_layer_normalization(view: View, node: Node) -> Rewrite | None:
    """(x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) along the last axis."""
    for deviation, factor in _orders(node):
        divisor = _divisor(view, factor)
        if divisor is None or divisor.total.op != "mean" or divisor.least > 0:
            continue
        x = _centred(view, deviation)
        last = len(view.tensor(deviation).shape) - 1
        if x is None or _only_axis(view, divisor.total) != last:
            continue
        if _square_of(view, divisor.total) != deviation:
            continue
        depth = view.tensor(x).shape[-1]
        vectors = (
            constant(f"{node.name}/gamma", np.ones(depth, np.float32)),
            constant(f"{node.name}/beta", np.zeros(depth, np.float32)),
        )
        fused = dataclasses.replace(
            node,
            op="layer_normalization",
            inputs=(x, *(vector.name for vector in vectors)),
            attributes=LayerNormalization(divisor.epsilon),
        )
        return Rewrite((node,), (fused,), vectors)
    return None


def fold_into_gamma(view: View, node: Node) -> Rewrite | None:
    """A layer norm times a channel vector."""
    return _with_vector(view, node, (True, True))


def fold_into_beta(view: View, node: Node) -> Rewrite | None:
    """A layer norm plus a channel vector."""
    return _with_vector(view, node, (False, True))


def fold_into_softmax(view: View, node: Node) -> Rewrite | None:
    """softmax(beta * (x * s)) is softmax((beta * s) * x), for one number s above 0."""
    producer = view.exclusive_producer(node.inputs[0])
    if producer is None or producer.op != "mul" or not is_unclamped(producer):
        return None
    found = map_and_vector(view.call(producer))
    if found is None or np.unique(found[1]).size != 1:
        return None
    beta = node.attributes.beta * float(found[1][0])
    if not (math.isfinite(beta) and beta > 0):
        return None
    attributes = dataclasses.replace(node.attributes, beta=beta)
    return Rewrite(
        (node,), (dataclasses.replace(node, inputs=(found[0].name,), attributes=attributes),)
    )


def _with_vector(view: View, node: Node, changes: tuple[bool, bool]) -> Rewrite | None:
    found = map_and_vector(view.call(node)) if is_unclamped(node) else None
    producer = None if found is None else view.exclusive_producer(found[0].name)
    if found is None or producer is None or producer.op != "layer_normalization":
        return None
    vector = found[1]
    tensors: list[Tensor] = []
    inputs = list(producer.inputs)
    for position, changed in zip((GAMMA, BETA), changes, strict=True):
        if changed:
            old: Array = view.call(producer).constant(position)
            new = old * vector if node.op == "mul" else old + vector
            tensors.append(constant(f"{node.name}/{position}", new.astype(np.float32)))
            inputs[position] = tensors[-1].name
    folded = dataclasses.replace(producer, inputs=tuple(inputs), outputs=node.outputs)
    return Rewrite((producer, node), (folded,), tuple(tensors))


def _orders(node: Node) -> tuple[tuple[str, str], ...]:
    if not is_unclamped(node):
        return ()
    first, second = node.inputs
    return ((first, second), (second, first))


def _divisor(view: View, name: str) -> Divisor | None:
    """The sum or mean behind a factor that divides by its root; copies along axes do not count."""
    least = epsilon = 0.0
    divides = rooted = False
    while (node := view.producers.get(name)) is not None:
        function = getattr(node.attributes, "function", None)
        if rooted and node.op in ("sum", "mean") and node.attributes.keep_dims:
            return Divisor(node, epsilon, least) if divides else None
        if node.op == "requantize" and divides and node.attributes.maximum is None:
            bound = max(node.attributes.minimum or 0.0, 0.0)
            least = max(least, math.sqrt(bound) if rooted else bound)
        elif node.op == "add" and rooted and (added := _added_number(view, node)) is not None:
            name, number = added
            epsilon += number
            continue
        elif function == "reciprocal" and not divides:
            divides = True
        elif function in ROOTS and not rooted:
            rooted, divides = True, divides or function == "rsqrt"
        elif node.op != "tile":
            return None
        name = node.inputs[0]
    return None


def _added_number(view: View, node: Node) -> tuple[str, float] | None:
    """The map and the number, 0 or more, that a node adds."""
    found = map_and_vector(view.call(node)) if is_unclamped(node) else None
    if found is None or np.unique(found[1]).size != 1 or found[1][0] < 0:
        return None
    return found[0].name, float(found[1][0])


def _only_axis(view: View, node: Node) -> int | None:
    """The axis of more than one element that a reduction is over."""
    shape = view.tensor(node.inputs[0]).shape
    axes = [axis for axis in node.attributes.axes if shape[axis] != 1]
    return axes[0] if len(axes) == 1 else None


def _square_of(view: View, node: Node) -> str | None:
    """x where a reduction reads x * x."""
    square = view.producers.get(node.inputs[0])
    if square is None:
        return None
    if square.op == "mul":
        is_square = is_unclamped(square) and square.inputs[0] == square.inputs[1]
    else:
        is_square = getattr(square.attributes, "function", None) == "square"
    return square.inputs[0] if is_square else None


def _centred(view: View, name: str) -> str | None:
    """x where a tensor is x - mean(x) over the last axis."""
    node = view.producers.get(name)
    if node is None or node.op != "sub" or not is_unclamped(node):
        return None
    x, mean = node.inputs[0], view.producers.get(node.inputs[1])
    if mean is None or mean.op != "mean" or mean.inputs[0] != x or not mean.attributes.keep_dims:
        return None
    return x if _only_axis(view, mean) == len(view.tensor(x).shape) - 1 else None


def _along_axis(
    view: View, node: Node, x: str, axis: int
) -> tuple[tuple[Node, ...], tuple[Tensor, ...]]:
    """The l2_normalization of x along any axis; another one than the last is swapped with it."""
    normalize = dataclasses.replace(
        node, op="l2_normalization", inputs=(x,), attributes=L2Normalization()
    )
    source = view.tensor(x)
    last = len(source.shape) - 1
    if axis == last:
        return (normalize,), ()
    order = list(range(last + 1))
    order[axis], order[last] = last, axis
    swap = Transpose(tuple(order))
    shape = tuple(source.shape[i] for i in order)
    names = tuple(f"{node.name}/{part}" for part in ("swapped", "normalized"))
    tensors = tuple(dataclasses.replace(source, name=name, shape=shape) for name in names)
    front = Node(names[0], "transpose", (x,), names[:1], swap, None, node.source)
    middle = dataclasses.replace(normalize, name=names[1], inputs=names[:1], outputs=names[1:])
    back = dataclasses.replace(node, op="transpose", inputs=names[1:], attributes=swap)
    return (front, middle, back), tensors


NORMALIZATION_RULES: Rules = {
    "mul": (fuse_layer_normalization, fuse_l2_normalization, fold_into_gamma),
    "add": (fold_into_beta,),
    "softmax": (fold_into_softmax,),
}
"""For float graphs."""
