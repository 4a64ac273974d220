# SPDX-License-Identifier: Apache-2.0
"""Rules for what only moves data: identities go, transposes merge, become reshapes or fold away."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from edgekit.converters.legalize.rewrite import Rewrite, Rules, View
from edgekit.ir import Array, Node, QGraph, Tensor, constant
from edgekit.ops import operators
from edgekit.ops.reshape import Reshape
from edgekit.ops.transpose import Transpose

WEIGHTS = 1


def drop_same_shape_reshape(view: View, node: Node) -> Rewrite | None:
    call = view.call(node)
    return view.bypass(node) if call.inputs[0].shape == call.output.shape else None


def merge_reshapes(view: View, node: Node) -> Rewrite | None:
    """reshape(reshape(x)) is one reshape of x."""
    first = view.producers.get(node.inputs[0])
    if first is None or first.op != "reshape":
        return None
    return Rewrite((node,), (dataclasses.replace(node, inputs=first.inputs),))


def drop_identity_transpose(view: View, node: Node) -> Rewrite | None:
    order = node.attributes.permutation
    return view.bypass(node) if order == tuple(range(len(order))) else None


def merge_transposes(view: View, node: Node) -> Rewrite | None:
    first = view.producers.get(node.inputs[0])
    if first is None or first.op != "transpose":
        return None
    inner = first.attributes.permutation
    order = tuple(inner[axis] for axis in node.attributes.permutation)
    merged = dataclasses.replace(node, inputs=first.inputs, attributes=Transpose(order))
    return Rewrite((node,), (merged,))


def transpose_to_reshape(view: View, node: Node) -> Rewrite | None:
    """A transpose that only moves axes of size 1 leaves the bytes where they are."""
    call = view.call(node)
    moved = [axis for axis in node.attributes.permutation if call.inputs[0].shape[axis] != 1]
    if moved != sorted(moved):
        return None
    return Rewrite((node,), (_reshape_node(view, node, node.inputs, call.output),))


def _reshape_node(view: View, node: Node, inputs: tuple[str, ...], output: Tensor) -> Node:
    arithmetic: Any = None
    if isinstance(view.graph, QGraph):
        arithmetic = operators()["reshape"].arithmetic()
    return dataclasses.replace(
        node,
        op="reshape",
        inputs=inputs,
        outputs=(output.name,),
        attributes=Reshape(output.shape),
        arithmetic=arithmetic,
    )


def fold_flatten_order(view: View, node: Node) -> Rewrite | None:
    """Transposes in front of a fully connected layer become an order of its weight columns."""
    call = view.call(node)
    weights = call.constant(WEIGHTS)
    if call.inputs[0].elements != weights.shape[1]:
        return None
    source, order = _origin(view, node.inputs[0])
    if source == node.inputs[0] or np.array_equal(order, np.arange(order.size)):
        return None
    columns = np.empty_like(weights)
    columns[:, order] = weights
    folded = constant(f"{node.name}/weights", columns)
    flat = dataclasses.replace(call.inputs[0], name=f"{node.name}/flat")
    reshape = _reshape_node(view, dataclasses.replace(node, name=flat.name), (source,), flat)
    inputs = (flat.name, folded.name, *node.inputs[2:])
    connected = dataclasses.replace(node, inputs=inputs)
    return Rewrite((node,), (reshape, connected), (folded, flat))


def _origin(view: View, name: str) -> tuple[str, Array]:
    """The tensor in front of all reshapes and transposes, and where its elements come from.

    Element i of the flattened tensor ``name`` is element order[i] of the flattened origin.
    """
    order = np.arange(view.tensor(name).elements)
    while (node := view.producers.get(name)) is not None:
        if node.op == "transpose":
            shape = view.tensor(node.inputs[0]).shape
            places = np.arange(order.size).reshape(shape).transpose(node.attributes.permutation)
            order = places.reshape(-1)[order]
        elif node.op != "reshape":
            break
        name = node.inputs[0]
    return name, order


LAYOUT_RULES: Rules = {
    "reshape": (drop_same_shape_reshape, merge_reshapes),
    "transpose": (drop_identity_transpose, merge_transposes, transpose_to_reshape),
}
"""For float and for integer graphs."""
FLATTEN_RULES: Rules = {"fully_connected": (fold_flatten_order,)}
"""For float graphs."""
