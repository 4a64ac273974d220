# SPDX-License-Identifier: Apache-2.0
"""Takes dead channels out of an integer model, bit for bit, and reports what each layer lost.

Dead is a channel that is the same integer at every pixel for every input, or that nothing reads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from edgekit.converters.channels.bounds import Bounds, channel_bounds, channel_count
from edgekit.converters.channels.flow import TRANSFERS
from edgekit.converters.channels.rebuild import unused_name, without_channels
from edgekit.converters.channels.removal import removable_channels
from edgekit.converters.legalize.rewrite import without_dead_nodes
from edgekit.ir import Call, Node, QGraph, Tensor, constant
from edgekit.manifest import DeadChannels
from edgekit.ops import operator_of

BINARY = frozenset({"add", "maximum", "minimum", "mul", "sub"})
"""Operators that take a constant in place of either operand."""


def remove_dead_channels(graph: QGraph) -> QGraph:
    """The same integer function with fewer channels, and never with more MACs."""
    while True:
        bounds = channel_bounds(graph, TRANSFERS)
        smaller = _with_constant_operands(graph, bounds)
        marks = removable_channels(smaller, bounds)
        if smaller is graph and not any(mark.any() for mark in marks.values()):
            return graph.verify()
        graph = without_dead_nodes(without_channels(smaller, marks, bounds))


def dead_channels(before: QGraph, after: QGraph) -> tuple[DeadChannels, ...]:
    """What :func:`remove_dead_channels` took from each layer; layers that lost nothing are absent."""
    remaining = {node.name: after.call(node) for node in after.nodes}
    entries = []
    for call in before.calls():
        left = remaining.get(call.node.name)
        entry = DeadChannels(
            layer=call.node.name,
            source=call.node.source,
            channels_before=channel_count(call.output),
            channels_after=0 if left is None else channel_count(left.output),
            macs_before=_macs(call),
            macs_after=0 if left is None else _macs(left),
        )
        changed = entry.channels_before != entry.channels_after
        if changed or entry.macs_before != entry.macs_after:
            entries.append(entry)
    return tuple(entries)


def _macs(call: Call) -> int:
    return operator_of(call.node).macs(call)


def _with_constant_operands(graph: QGraph, bounds: Mapping[str, Bounds]) -> QGraph:
    """Operands that are constant in all channels become constants; what computed them goes."""
    tensors: dict[str, Tensor] = dict(graph.tensors)
    nodes: list[Node] = []
    for call in graph.calls():
        node = call.node
        position = _constant_operand(call, bounds) if node.op in BINARY else None
        if position is not None:
            old = call.inputs[position]
            shape = (1,) * (len(old.shape) - 1) + old.shape[-1:]
            values = bounds[old.name].low.astype(old.dtype).reshape(shape)
            name = unused_name(f"{node.name}/operand_{position}", tensors)
            tensors[name] = constant(name, values, quantization=old.quantization)
            inputs = (*node.inputs[:position], name, *node.inputs[position + 1 :])
            node = dataclasses.replace(node, inputs=inputs)
        nodes.append(node)
    if all(new is old for new, old in zip(nodes, graph.nodes, strict=True)):
        return graph
    return without_dead_nodes(graph.with_nodes(nodes, tensors.values()))


def _constant_operand(call: Call, bounds: Mapping[str, Bounds]) -> int | None:
    """The position of a constant activation beside one that has all pixels of the output."""
    if len(call.activations) != 2 or call.inputs[0].name == call.inputs[1].name:
        return None
    for position, tensor in enumerate(call.inputs):
        other = call.inputs[1 - position]
        covers = other.shape[:-1] == call.output.shape[:-1] and len(tensor.shape) > 0
        if covers and bounds[tensor.name].is_constant.all():
            broadcast = (1,) * (len(tensor.shape) - 1) + tensor.shape[-1:]
            if np.broadcast_shapes(broadcast, other.shape) == call.output.shape:
                return position
    return None
