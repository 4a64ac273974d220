# SPDX-License-Identifier: Apache-2.0
"""An integer model without some of its channels; constants that sums lose go into their bias."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping

import numpy as np

from edgekit.converters.channels.bounds import ELEMENTWISE, Bounds, channel_count
from edgekit.converters.channels.flow import MIXING
from edgekit.converters.channels.removal import Marks
from edgekit.converters.channels.sums import absorbed, columns_of_channels
from edgekit.ir import Array, Call, Node, QGraph, Tensor, constant
from edgekit.ops._weighted import BIAS, INPUT, WEIGHTS, WeightedArithmetic, bias_of
from edgekit.ops.reshape import Reshape
from edgekit.ops.slice import Slice


def without_channels(graph: QGraph, marks: Marks, bounds: Mapping[str, Bounds]) -> QGraph:
    """``graph`` without the marked channels, which :func:`removable_channels` found."""
    tensors = {
        name: _narrowed(tensor, marks[name]) if name in marks else tensor
        for name, tensor in graph.tensors.items()
    }
    nodes = []
    for call in graph.calls():
        node, constants = _without(call, marks, bounds)
        names = list(node.inputs)
        for position, (label, data) in constants.items():
            old = call.inputs[position] if position < len(call.inputs) else None
            name = unused_name(f"{node.name}/{label}", tensors)
            quantization = None if old is None else old.quantization
            tensors[name] = constant(name, data, quantization=quantization)
            names[position:] = [name, *names[position + 1 :]]
        nodes.append(dataclasses.replace(node, inputs=tuple(names)))
    return graph.with_nodes(nodes, tensors.values())


def _narrowed(tensor: Tensor, mark: Array) -> Tensor:
    if not mark.any():
        return tensor
    return dataclasses.replace(tensor, shape=(*tensor.shape[:-1], int((~mark).sum())))


def unused_name(name: str, tensors: Collection[str]) -> str:
    """``name``, with underscores behind it until no tensor has it."""
    while name in tensors:
        name = f"{name}_"
    return name


Constants = dict[int, tuple[str, Array]]
"""Input position -> label and data of a constant."""


def _without(call: Call, marks: Marks, bounds: Mapping[str, Bounds]) -> tuple[Node, Constants]:
    """The node without its marked channels, and its new constants."""
    node, kept = call.node, ~marks[call.output.name]
    source = call.inputs[INPUT].name
    lost = source in marks and marks[source].any()
    if node.op in MIXING or node.op == "depthwise_conv2d":
        if kept.all() and not lost:
            return node, {}
        if node.op == "depthwise_conv2d":
            return part_of_weighted(call, kept, np.ones(1, bool), None)
        columns = _kept_columns(call, marks)
        return part_of_weighted(call, kept, columns, _absorbed_bias(call, columns, bounds))
    if node.op == "reshape" and not kept.all():
        shape = (*node.attributes.shape[:-1], int(kept.sum()))
        return dataclasses.replace(node, attributes=Reshape(shape)), {}
    if node.op == "slice" and not (kept.all() and not lost):
        return _narrowed_slice(node, ~marks[source], kept), {}
    if node.op in ELEMENTWISE and not kept.all():
        return node, _sliced_operands(call, kept)
    return node, {}


def _narrowed_slice(node: Node, kept_inputs: Array, kept: Array) -> Node:
    attributes: Slice = node.attributes
    begin = int(kept_inputs[: attributes.begin[-1]].sum())
    narrowed = dataclasses.replace(
        attributes,
        begin=(*attributes.begin[:-1], begin),
        size=(*attributes.size[:-1], int(kept.sum())),
    )
    return dataclasses.replace(node, attributes=narrowed)


def _kept_columns(call: Call, marks: Marks) -> Array:
    kept: Array = ~marks[call.inputs[INPUT].name]
    if call.node.op == "fully_connected":
        columns = columns_of_channels(call)
        return np.ones(call.inputs[WEIGHTS].shape[1], bool) if columns is None else kept[columns]
    if len(kept) != call.inputs[WEIGHTS].shape[3]:
        return np.ones(call.inputs[WEIGHTS].shape[3], bool)
    return kept


def _absorbed_bias(call: Call, columns: Array, bounds: Mapping[str, Bounds]) -> Array | None:
    """The bias with what the lost columns add, or None where they add nothing."""
    if columns.all():
        return None
    low = bounds[call.inputs[INPUT].name].low
    if call.node.op == "fully_connected":
        low = np.tile(low, len(columns) // len(low))
    amounts, _ = absorbed(call, low)  # of a channel that is not constant all weights are zero
    added = amounts[:, ~columns].sum(axis=1)
    return bias_of(call, len(added)).astype(np.int64) + added if added.any() else None


def part_of_weighted(
    call: Call, kept: Array, columns: Array, bias: Array | None
) -> tuple[Node, Constants]:
    """A layer with some of its output channels, which read some columns of its weights."""
    weights = call.constant(WEIGHTS)
    if call.node.op == "depthwise_conv2d":
        weights = weights[..., kept]
    else:
        weights = weights[kept][..., columns]
    constants: Constants = {WEIGHTS: ("weights", weights)}
    if bias is None and len(call.inputs) > BIAS:
        bias = call.constant(BIAS)
    if bias is not None:
        dtype = call.inputs[BIAS].dtype if len(call.inputs) > BIAS else "int32"
        constants[BIAS] = ("bias", bias[kept].astype(dtype))
    arithmetic: WeightedArithmetic = call.node.arithmetic
    narrowed = dataclasses.replace(
        arithmetic,
        multipliers=tuple(np.array(arithmetic.multipliers, object)[kept].tolist()),
        shifts=tuple(np.array(arithmetic.shifts, object)[kept].tolist()),
    )
    return dataclasses.replace(call.node, arithmetic=narrowed), constants


def _sliced_operands(call: Call, kept: Array) -> Constants:
    """Constant operands with as many channels as the output; scalars stay."""
    return {
        position: (f"operand_{position}", tensor.data[..., kept])
        for position, tensor in enumerate(call.inputs)
        if tensor.data is not None and channel_count(tensor) == len(kept) > 1
    }
