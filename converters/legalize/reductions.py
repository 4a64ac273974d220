# SPDX-License-Identifier: Apache-2.0
"""Reductions that drop an axis keep it as one of size 1, and a view drops it behind them.

A map without its width or its channels has other axes where its rows should be; with them it is
computed, and read by the next reduction, row by row.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

from edgekit.converters.legalize.rewrite import Rewrite, Rules, View
from edgekit.ir import Node, QGraph, Shape, Tensor
from edgekit.layout import map_size
from edgekit.ops import operators
from edgekit.ops.argmax import Argmax
from edgekit.ops.reshape import Reshape


def keep_dropped_axes(view: View, node: Node) -> Rewrite | None:
    """reduce(x) that drops axes behind the rows is a view of the one that keeps them."""
    if node.attributes.keep_dims:
        return None
    source, result = view.call(node).inputs[0], view.tensor(node.outputs[0])
    height, rank = map_size(source.shape)[0], len(source.shape)
    behind_rows = min(_axes(node.attributes)) > rank - 3
    if height == 1 or not behind_rows or map_size(result.shape)[0] == height:
        return None
    return _kept(view, node, source, _axes(node.attributes))


def read_through_view(view: View, node: Node) -> Rewrite | None:
    """Of a map that lost axes of size 1 by a view, the same axes of the map with them."""
    viewing = view.producers.get(node.inputs[0])
    if viewing is None or viewing.op != "reshape":
        return None
    source, seen = view.tensor(viewing.inputs[0]), view.tensor(node.inputs[0])
    places = _places(source.shape, seen.shape)
    if places is None or map_size(source.shape)[0] == map_size(seen.shape)[0]:
        return None
    axes = tuple(places[axis] for axis in _axes(node.attributes))
    if axes != tuple(range(axes[0], axes[-1] + 1)):
        return None
    return _kept(view, node, source, axes)


def _axes(attributes: Any) -> tuple[int, ...]:
    if isinstance(attributes, Argmax):
        return (attributes.axis,)
    axes: tuple[int, ...] = attributes.axes
    return axes


def _places(shape: Shape, seen: Shape) -> tuple[int, ...] | None:
    """The axis of ``shape`` behind every axis of ``seen``, where that only lacks axes of size 1."""
    if len(seen) >= len(shape):
        return None
    for axes in itertools.combinations(range(len(shape)), len(seen)):
        left = [size for axis, size in enumerate(shape) if axis not in axes]
        if tuple(shape[axis] for axis in axes) == seen and set(left) == {1}:
            return axes
    return None


def _kept(view: View, node: Node, source: Tensor, axes: tuple[int, ...]) -> Rewrite:
    """The node over ``axes`` of ``source``, with all of them left, and a view as its result was."""
    changes: dict[str, Any] = {"keep_dims": True}
    changes |= {"axis": axes[0]} if isinstance(node.attributes, Argmax) else {"axes": axes}
    attributes = dataclasses.replace(node.attributes, **changes)
    result = view.tensor(node.outputs[0])
    name = _fresh(view, f"{result.name}/kept")
    shape = operators()[node.op].output_shape(attributes, [source.shape])
    kept = dataclasses.replace(result, name=name, shape=shape)
    reduction = dataclasses.replace(
        node, inputs=(source.name,), outputs=(name,), attributes=attributes
    )
    arithmetic = operators()["reshape"].arithmetic() if isinstance(view.graph, QGraph) else None
    dropping = Node(
        name, "reshape", (name,), (result.name,), Reshape(result.shape), arithmetic, node.source
    )
    return Rewrite((node,), (reduction, dropping), (kept,))


def _fresh(view: View, name: str) -> str:
    """``name``, with underscores behind it until neither a tensor nor a node has it."""
    taken = {node.name for node in view.graph.nodes}
    while name in view.graph.tensors or name in taken:
        name = f"{name}_"
    return name


REDUCTION_RULES: Rules = {
    "mean": (keep_dropped_axes, read_through_view),
    "sum": (keep_dropped_axes, read_through_view),
}
"""For float and for integer graphs."""
INDEX_RULES: Rules = {"argmax": (keep_dropped_axes,)}
"""For integer graphs; indices have no range that a view could share."""
