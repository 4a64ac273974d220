# SPDX-License-Identifier: Apache-2.0
"""What follows a concatenation channel by channel goes in front of it, into the convolutions there.

Networks with kernels of several sizes in one layer (MixNet: Tan and Le, 2019) normalise and clamp
behind the concatenation; inside the convolutions both are free.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from edgekit.converters.legalize.clamps import is_unclamped
from edgekit.converters.legalize.rewrite import Rewrite, Rules, View
from edgekit.converters.legalize.scales import map_and_vector
from edgekit.ir import Node, Tensor, constant
from edgekit.ops._weight_channels import OUTPUT_AXIS


def split_vector(view: View, node: Node) -> Rewrite | None:
    """concat(a, b) * (s, t) is concat(a * s, b * t); so with +. Where all of them fold further."""
    found = map_and_vector(view.call(node))
    if found is None:
        return None
    joined, vector = found
    parts = _parts_in_front(view, joined.name, is_unclamped)
    if parts is None:
        return None
    ends = np.cumsum([part.shape[-1] for part in parts])[:-1]
    vectors = [
        constant(f"{node.name}/vector{i}", values.astype(np.float32))
        for i, values in enumerate(np.split(vector, ends))
    ]
    return _in_front(view, node, joined.name, parts, vectors)


def split_clamp(view: View, node: Node) -> Rewrite | None:
    """clamp(concat(a, b)) is concat(clamp(a), clamp(b)), where both clamp by themselves."""
    parts = _parts_in_front(view, node.inputs[0], lambda producer: True)
    return None if parts is None else _in_front(view, node, node.inputs[0], parts, None)


def _parts_in_front(
    view: View, tensor: str, accepts: Callable[[Node], bool]
) -> tuple[Tensor, ...] | None:
    """What a concatenation of channels joins, where layers with weights compute it just for that."""
    concat = view.exclusive_producer(tensor)
    if concat is None or concat.op != "concat" or len(set(concat.inputs)) != len(concat.inputs):
        return None
    if concat.attributes.axis != len(view.tensor(tensor).shape) - 1:
        return None
    producers = [view.exclusive_producer(name) for name in concat.inputs]
    if not all(p is not None and p.op in OUTPUT_AXIS and accepts(p) for p in producers):
        return None
    return tuple(view.tensor(name) for name in concat.inputs)


def _in_front(
    view: View,
    node: Node,
    joined: str,
    parts: tuple[Tensor, ...],
    vectors: list[Tensor] | None,
) -> Rewrite:
    """One copy of ``node`` for every part, then the concatenation in its place."""
    concat = view.producers[joined]
    nodes: list[Node] = []
    results: list[Tensor] = []
    for i, part in enumerate(parts):
        name = f"{node.name}/part{i}"
        results.append(dataclasses.replace(part, name=name))
        inputs = (part.name,) if vectors is None else (part.name, vectors[i].name)
        nodes.append(dataclasses.replace(node, name=name, inputs=inputs, outputs=(name,)))
    names = tuple(result.name for result in results)
    nodes.append(dataclasses.replace(concat, inputs=names, outputs=node.outputs))
    return Rewrite((concat, node), tuple(nodes), (*results, *(vectors or ())))


CONCAT_RULES: Rules = {
    "mul": (split_vector,),
    "add": (split_vector,),
    "requantize": (split_clamp,),
}
"""For float graphs."""
