# SPDX-License-Identifier: Apache-2.0
"""What follows a concatenation channel by channel goes in front of it, into the convolutions there.

Networks with kernels of several sizes in one layer (MixNet: Tan and Le, 2019) normalise and clamp
behind the concatenation; inside the convolutions both are free.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from edgekit.converters.rewrite import Rewrite, Rule, View
from edgekit.ir import Node, Tensor, constant

WEIGHTED = ("conv2d", "depthwise_conv2d", "fully_connected", "transposed_conv2d")


def split_vector(view: View, node: Node) -> Rewrite | None:
    """concat(a, b) * (s, t) is concat(a * s, b * t); so with +. Where all of them fold further."""
    call = view.call(node)
    activations, constants = call.activations, [t for t in call.inputs if t.data is not None]
    if len(activations) != 1 or len(constants) != 1 or activations[0].shape != call.output.shape:
        return None
    channels, vector = call.output.shape[-1], constants[0]
    sizes = vector.shape[:-1]
    if any(size != 1 for size in sizes) or (vector.shape and vector.shape[-1] not in (1, channels)):
        return None
    parts = _parts_in_front(view, activations[0].name, _is_unclamped)
    if parts is None or vector.data is None:
        return None
    values = np.broadcast_to(vector.data.reshape(-1), (channels,))
    ends = np.cumsum([part.shape[-1] for part in parts])[:-1]
    vectors = [
        constant(f"{node.name}/vector{i}", np.ascontiguousarray(v).reshape(*sizes, -1))
        for i, v in enumerate(np.split(values, ends))
    ]
    return _in_front(view, node, activations[0].name, parts, vectors)


def split_clamp(view: View, node: Node) -> Rewrite | None:
    """clamp(concat(a, b)) is concat(clamp(a), clamp(b)), where both clamp by themselves."""
    parts = _parts_in_front(view, node.inputs[0], lambda producer: True)
    return None if parts is None else _in_front(view, node, node.inputs[0], parts, None)


def _is_unclamped(producer: Node) -> bool:
    attributes = producer.attributes
    return (attributes.activation_min, attributes.activation_max) == (None, None)


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
    if not all(p is not None and p.op in WEIGHTED and accepts(p) for p in producers):
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


CONCAT_RULES: Mapping[str, tuple[Rule, ...]] = {
    "mul": (split_vector,),
    "add": (split_vector,),
    "requantize": (split_clamp,),
}
"""For float graphs."""
