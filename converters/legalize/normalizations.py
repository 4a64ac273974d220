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
from edgekit.ops.l2_normalization import MAX_DEPTH as MAX_LENGTH
from edgekit.ops.layer_normalization import BETA, GAMMA, MAX_DEPTH, LayerNormalization
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
        if total.op != "sum" or axis is None or _square_of(view, total) != x:
            continue
        if view.tensor(x).shape[axis] <= MAX_LENGTH:
            normalize = dataclasses.replace(
                node, op="l2_normalization", inputs=(x,), attributes=L2Normalization()
            )
            return _along_axis(view, normalize, axis)
    return None


def fuse_layer_normalization(view: View, node: Node) -> Rewrite | None:
    """(x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) along one axis."""
    for deviation, factor in _orders(node):
        divisor = _divisor(view, factor)
        if divisor is None or divisor.total.op != "mean" or divisor.least > 0:
            continue
        axis = _only_axis(view, divisor.total)
        x = None if axis is None else _centred(view, deviation, axis)
        if axis is None or x is None or _centre_of_squares(view, divisor.total, axis) != x:
            continue
        if (depth := view.tensor(x).shape[axis]) <= MAX_DEPTH:
            vectors = (
                constant(f"{node.name}/gamma", np.ones(depth, np.float32)),
                constant(f"{node.name}/beta", np.zeros(depth, np.float32)),
            )
            normalize = dataclasses.replace(
                node,
                op="layer_normalization",
                inputs=(x, *(vector.name for vector in vectors)),
                attributes=LayerNormalization(divisor.epsilon),
            )
            return _along_axis(view, normalize, axis, vectors)
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


def _centred(view: View, name: str, axis: int) -> str | None:
    """x where a tensor is x - mean(x) over the axis."""
    node = view.producers.get(name)
    if node is None or node.op != "sub" or not is_unclamped(node):
        return None
    x, mean = node.inputs
    return x if _is_mean(view, mean, x, axis) else None


def _centre_of_squares(view: View, node: Node, axis: int) -> str | None:
    """x where a reduction reads (x - mean(x))^2, the mean being over the axis."""
    square = view.producers.get(node.inputs[0])
    if square is not None and square.op == "squared_difference":
        orders = (square.inputs, square.inputs[::-1])
        return next((x for x, mean in orders if _is_mean(view, mean, x, axis)), None)
    deviation = _square_of(view, node)
    return None if deviation is None else _centred(view, deviation, axis)


def _is_mean(view: View, name: str, x: str, axis: int) -> bool:
    mean = view.producers.get(name)
    if mean is None or mean.op != "mean" or not mean.attributes.keep_dims:
        return False
    return mean.inputs[0] == x and _only_axis(view, mean) == axis


def _along_axis(view: View, node: Node, axis: int, vectors: tuple[Tensor, ...] = ()) -> Rewrite:
    """A node of a graph as a normalization along any axis; one that is not the last is swapped."""
    source = view.tensor(node.inputs[0])
    last = len(source.shape) - 1
    if axis == last:
        return Rewrite((node,), (node,), vectors)
    order = list(range(last + 1))
    order[axis], order[last] = last, axis
    swap = Transpose(tuple(order))
    shape = tuple(source.shape[i] for i in order)
    names = tuple(f"{node.name}/{part}" for part in ("swapped", "normalized"))
    tensors = tuple(dataclasses.replace(source, name=name, shape=shape) for name in names)
    front = Node(names[0], "transpose", (source.name,), names[:1], swap, None, node.source)
    middle = dataclasses.replace(
        node, name=names[1], inputs=(names[0], *node.inputs[1:]), outputs=names[1:]
    )
    back = dataclasses.replace(node, op="transpose", inputs=names[1:], attributes=swap)
    return Rewrite((node,), (front, middle, back), (*vectors, *tensors))


NORMALIZATION_RULES: Rules = {
    "mul": (fuse_layer_normalization, fuse_l2_normalization, fold_into_gamma),
    "add": (fold_into_beta,),
    "softmax": (fold_into_softmax,),
}
"""For float graphs."""
