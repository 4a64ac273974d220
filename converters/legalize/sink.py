# SPDX-License-Identifier: Apache-2.0
"""Transposes and reshapes move behind element-wise operators, where they meet and cancel.

A sequence (1, C, L) of PyTorch reaches its convolutions as a map; between two of them every change
of layout has its inverse behind the next element-wise operator. Moving all of them down leaves none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from edgekit.converters.legalize.rewrite import Rewrite, Rules, View, for_elementwise, merged
from edgekit.ir import Node, Shape, Tensor, constant
from edgekit.ops import operator_of
from edgekit.ops.reshape import Reshape, ReshapeArithmetic
from edgekit.ops.transpose import Transpose

MOVES = ("reshape", "transpose")
AxisMap = Mapping[int, int]
"""Axis of the moved tensor -> axis of the tensor in front, for every axis that is not of size 1."""


def sink_move(view: View, node: Node) -> Rewrite | None:
    """f(move(x), ...) is move(f(x, ...)) where every operand can be seen from in front of the move."""
    main = _moved_operand(view, node)
    if main is None or not _reaches_move(view, node):
        return None
    label = f"{node.name}/{main.name}"
    axes = _axis_map(view, main)
    front = view.tensor(main.inputs[0])
    if axes is None:
        return None
    nodes: list[Node] = []
    tensors: list[Tensor] = []
    names: list[str] = []
    for position, name in enumerate(node.inputs):
        made = _seen_from_front(view, view.tensor(name), main, axes, f"{label}/{position}")
        if made is None:
            return None
        names.append(made[0])
        tensors += made[1]
        nodes += made[2]
    result = view.tensor(node.outputs[0])
    computed = dataclasses.replace(result, name=label, shape=front.shape)
    moved = dataclasses.replace(
        main, name=label, inputs=(label,), outputs=node.outputs, source=node.source
    )
    first = dataclasses.replace(node, inputs=tuple(names), outputs=(label,))
    return Rewrite((node,), (*nodes, first, moved), (*tensors, computed))


def sink_reshape_behind_transpose(view: View, node: Node) -> Rewrite | None:
    """transpose(reshape(x)) is reshape(transpose(x)) where the reshape only adds or drops ones."""
    reshape = view.producers.get(node.inputs[0])
    if reshape is None or reshape.op != "reshape" or len(view.readers[node.inputs[0]]) != 1:
        return None
    axes = _axis_map(view, reshape)
    front, result = view.tensor(reshape.inputs[0]), view.tensor(node.outputs[0])
    if axes is None or len(front.shape) > 4 or front.shape[:1] != (1,):
        return None
    order = [axes[axis] for axis in node.attributes.permutation if axis in axes]
    kept = iter(order)
    filled = tuple(next(kept) if size != 1 else axis for axis, size in enumerate(front.shape))
    label = f"{node.name}/{reshape.name}"
    shape = tuple(front.shape[axis] for axis in filled)
    turned = dataclasses.replace(result, name=label, shape=shape)
    first = dataclasses.replace(
        node, inputs=reshape.inputs, outputs=(label,), attributes=Transpose(filled)
    )
    second = dataclasses.replace(
        reshape,
        name=label,
        inputs=(label,),
        outputs=node.outputs,
        attributes=Reshape(result.shape),
    )
    return Rewrite((node,), (first, second), (turned,))


def _moved_operand(view: View, node: Node) -> Node | None:
    """The move that an operand of the result's own shape comes from, if all its readers can follow."""
    shape = view.tensor(node.outputs[0]).shape
    for name in node.inputs:
        move = view.producers.get(name)
        if move is None or move.op not in MOVES or view.tensor(name).shape != shape:
            continue
        readers = view.readers[name]
        if name not in view.results and all(r.op in MOVES or _is_elementwise(r) for r in readers):
            return move
    return None


def _reaches_move(view: View, node: Node) -> bool:
    """Whether another move lies behind, with element-wise operators alone between."""
    pending, seen = list(view.readers[node.outputs[0]]), {node.name}
    while pending:
        reader = pending.pop()
        if reader.op in MOVES:
            return True
        if _is_elementwise(reader) and reader.name not in seen:
            seen.add(reader.name)
            pending += view.readers[reader.outputs[0]]
    return False


def _is_elementwise(node: Node) -> bool:
    return operator_of(node).is_elementwise


def _axis_map(view: View, move: Node) -> AxisMap | None:
    """None for a reshape that does more than adding or dropping axes of size 1."""
    front, behind = view.tensor(move.inputs[0]).shape, view.tensor(move.outputs[0]).shape
    if move.op == "transpose":
        order = move.attributes.permutation
        return {axis: order[axis] for axis, size in enumerate(behind) if size != 1}
    pairs = [[axis for axis, size in enumerate(s) if size != 1] for s in (behind, front)]
    if [behind[axis] for axis in pairs[0]] != [front[axis] for axis in pairs[1]]:
        return None
    return dict(zip(*pairs, strict=True))


Made = tuple[str, Sequence[Tensor], Sequence[Node]]


def _seen_from_front(
    view: View, tensor: Tensor, move: Node, axes: AxisMap, label: str
) -> Made | None:
    """The name of an operand as it lies in front of the move, and what must be added for it."""
    front = view.tensor(move.inputs[0])
    own = view.producers.get(tensor.name)
    if own is not None and (own.op, own.attributes) == (move.op, move.attributes):
        if move.op == "reshape" and view.tensor(own.inputs[0]).shape != front.shape:
            return None
        return own.inputs[0], (), ()
    rank = len(view.tensor(move.outputs[0]).shape)
    shape = (1,) * (rank - len(tensor.shape)) + tensor.shape
    if len(shape) != rank or any(n != 1 and axis not in axes for axis, n in enumerate(shape)):
        return None
    seen = _front_shape(shape, axes, len(front.shape))
    if tensor.data is not None:
        places = sorted(axes, key=lambda axis: axes[axis])
        rest = [axis for axis in range(rank) if axis not in axes]
        data = np.ascontiguousarray(tensor.data.reshape(shape).transpose(rest + places))
        name = f"{label}/{tensor.name}"
        made = constant(name, data.reshape(seen), quantization=tensor.quantization)
        return name, (made,), ()
    if sum(size != 1 for size in shape) > 1:
        return None
    reshaped = dataclasses.replace(tensor, name=label, shape=seen)
    arithmetic = None if tensor.dtype == "float32" else ReshapeArithmetic()
    node = Node(label, "reshape", (tensor.name,), (label,), Reshape(seen), arithmetic, move.source)
    return label, (reshaped,), (node,)


def _front_shape(shape: Shape, axes: AxisMap, rank: int) -> Shape:
    seen = [1] * rank
    for behind, front in axes.items():
        seen[front] = shape[behind]
    return tuple(seen)


def sink_rules() -> Rules:
    """For float and for integer graphs."""
    return merged(for_elementwise(sink_move), {"transpose": (sink_reshape_behind_transpose,)})
