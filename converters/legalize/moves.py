# SPDX-License-Identifier: Apache-2.0
"""Transposes that a chain does not need: it becomes one, or moves behind what names its axes.

Networks in NCHW that were converted to NHWC have a transpose on both sides of every operator that
stayed as it was. Each of these rules moves a transpose down, where it meets its inverse.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from edgekit.converters.axis_moves import AxisMoves
from edgekit.converters.legalize.rewrite import Rewrite, Rules, View
from edgekit.ir import Node, QGraph, Tensor
from edgekit.ops import operators
from edgekit.ops.concat import Concat
from edgekit.ops.mean import Mean
from edgekit.ops.pad import Pad
from edgekit.ops.reshape import Reshape
from edgekit.ops.slice import Slice
from edgekit.ops.transpose import Transpose

ROW_OPERATORS = ("l2_normalization", "layer_normalization", "log_softmax", "softmax")
"""Operators over the rows of the last axis of their first input; the others are constants."""
MOVES = ("reshape", "transpose")


def shorten_chain(view: View, node: Node) -> Rewrite | None:
    """Reshapes and transposes in a row, of which several transpose, as one transpose or none."""
    chain = [node]
    while (first := view.producers.get(chain[0].inputs[0])) is not None and first.op in MOVES:
        chain.insert(0, first)
    origin = view.tensor(chain[0].inputs[0])
    moves: AxisMoves | None = AxisMoves.of(origin.shape)
    for move in chain:
        if moves is not None and move.op == "transpose":
            moves = moves.transpose(move.attributes.permutation)
        elif moves is not None:
            moves = moves.reshape(move.attributes.shape)
    steps = moves.steps() if moves is not None else None
    if steps is None or _transposes(chain) <= sum(isinstance(s, Transpose) for s in steps):
        return None
    return _as_nodes(view, node, origin, steps or [Reshape(origin.shape)])


def _as_nodes(
    view: View, node: Node, origin: Tensor, steps: Sequence[Reshape | Transpose]
) -> Rewrite:
    """The steps from ``origin`` on in place of ``node``."""
    nodes: list[Node] = []
    tensors = [origin]
    result = view.tensor(node.outputs[0])
    for position, step in enumerate(steps):
        op, source = _op_of(step), tensors[-1]
        output = result
        name = node.name
        if position < len(steps) - 1:
            name = _fresh(view, f"{result.name}/{op}{position}")
            shape = operators()[op].output_shape(step, [source.shape])
            output = dataclasses.replace(result, name=name, shape=shape)
        arithmetic = operators()[op].arithmetic() if isinstance(view.graph, QGraph) else None
        inputs, outputs = (source.name,), (output.name,)
        nodes.append(Node(name, op, inputs, outputs, step, arithmetic, node.source))
        tensors.append(output)
    return Rewrite((node,), tuple(nodes), tuple(tensors[1:-1]))


def _op_of(step: Reshape | Transpose) -> str:
    return "reshape" if isinstance(step, Reshape) else "transpose"


def _fresh(view: View, name: str) -> str:
    """``name``, with underscores behind it until neither a tensor nor a node has it."""
    taken = {node.name for node in view.graph.nodes}
    while name in view.graph.tensors or name in taken:
        name = f"{name}_"
    return name


def _transposes(chain: list[Node]) -> int:
    return sum(move.op == "transpose" for move in chain)


def sink_behind_mean(view: View, node: Node) -> Rewrite | None:
    """mean(transpose(x)) is transpose(mean(x)) over the axes that come to lie there; it is smaller."""
    order = _order_in_front(view, node)
    if order is None:
        return None
    axes = tuple(sorted(order[axis] for axis in node.attributes.axes))
    if axes[0] == 0 or axes != tuple(range(axes[0], axes[-1] + 1)):
        return None
    keep = node.attributes.keep_dims
    left = [axis for axis in order if keep or axis not in axes]
    places = sorted(left)
    behind = tuple(places.index(axis) for axis in left)
    return _sunk(view, node, Mean(axes, keep), behind)


def sink_behind_pad(view: View, node: Node) -> Rewrite | None:
    """A pad of a transposed map pads other axes of the map."""
    order = _order_in_front(view, node)
    if order is None:
        return None
    pad: Pad = node.attributes
    before, after = (_in_front(amounts, order) for amounts in (pad.before, pad.after))
    return _sunk(view, node, dataclasses.replace(pad, before=before, after=after), order)


def sink_behind_slice(view: View, node: Node) -> Rewrite | None:
    """A part of a transposed map is a transposed part of the map.

    Where several parts are taken of it, together they must be no more than the map.
    """
    source = node.inputs[0]
    readers = view.readers[source]
    parts = {reader.outputs[0] for reader in readers}
    order = _order(view, source)
    if order is None or any(reader.op != "slice" for reader in readers):
        return None
    if sum(view.tensor(part).elements for part in parts) > view.tensor(source).elements:
        return None
    part: Slice = node.attributes
    lists = (_in_front(values, order) for values in (part.begin, part.size, part.strides))
    return _sunk(view, node, Slice(*lists), order)


def sink_behind_concat(view: View, node: Node) -> Rewrite | None:
    """Maps that were all transposed alike join along another axis."""
    order = _order_in_front(view, node)
    if order is None:
        return None
    return _sunk(view, node, Concat(order[node.attributes.axis]), order)


def sink_behind_rows(view: View, node: Node) -> Rewrite | None:
    """What an operator makes of rows of the last axis does not depend on where the rows lie."""
    source = node.inputs[0]
    order = _order_of(view, node, source)
    if order is None or order[-1] != len(order) - 1:
        return None
    return _sunk(view, node, node.attributes, order)


def _in_front(values: tuple[int, ...], order: tuple[int, ...]) -> tuple[int, ...]:
    """Values per axis behind a transpose, as values per axis in front of it."""
    return tuple(values[order.index(axis)] for axis in range(len(order)))


def _order_in_front(view: View, node: Node) -> tuple[int, ...] | None:
    """The permutation that all inputs come from, where this node alone reads each of them."""
    orders = {_order_of(view, node, name) for name in node.inputs}
    return orders.pop() if len(orders) == 1 else None


def _order_of(view: View, node: Node, name: str) -> tuple[int, ...] | None:
    """The permutation that a tensor comes from, where this node alone reads it."""
    alone = {reader.name for reader in view.readers[name]} == {node.name}
    return _order(view, name) if alone else None


def _order(view: View, name: str) -> tuple[int, ...] | None:
    """The permutation that a tensor comes from, unless the model returns it."""
    transpose = view.producers.get(name)
    if transpose is None or transpose.op != "transpose" or name in view.results:
        return None
    order: tuple[int, ...] = transpose.attributes.permutation
    return order


def _sunk(view: View, node: Node, attributes: Any, order: tuple[int, ...]) -> Rewrite:
    """The node in front of a transpose by ``order``."""
    inputs = tuple(
        view.producers[name].inputs[0] if name in view.producers else name for name in node.inputs
    )
    shapes = [view.tensor(name).shape for name in inputs]
    result = view.tensor(node.outputs[0])
    front = _fresh(view, f"{result.name}/{node.op}")
    shape = operators()[node.op].output_shape(attributes, shapes)
    computed = dataclasses.replace(result, name=front, shape=shape)
    first = dataclasses.replace(node, inputs=inputs, outputs=(front,), attributes=attributes)
    arithmetic = operators()["transpose"].arithmetic() if isinstance(view.graph, QGraph) else None
    move = Node(
        front, "transpose", (front,), (result.name,), Transpose(order), arithmetic, node.source
    )
    return Rewrite((node,), (first, move), (computed,))


MOVE_RULES: Rules = {
    "concat": (sink_behind_concat,),
    **dict.fromkeys(ROW_OPERATORS, (sink_behind_rows,)),
    "mean": (sink_behind_mean,),
    "pad": (sink_behind_pad,),
    "reshape": (shorten_chain,),
    "slice": (sink_behind_slice,),
    "transpose": (shorten_chain,),
}
"""For float and for integer graphs."""
