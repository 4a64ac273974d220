# SPDX-License-Identifier: Apache-2.0
"""Plain post-training quantization: int8 activations from calibrated ranges, int8 weights.

Scheme of Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference" (2018), with weights per output channel and symmetric.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from edgekit.converters.quantize.scales import quantization_of
from edgekit.errors import BadInputError
from edgekit.ir import Call, Graph, Node, QGraph, Quantization, Tensor
from edgekit.ops import operator_of
from edgekit.ops._elementwise import quantize_operand

Ranges = Mapping[str, tuple[float, float]]


def quantize(graph: Graph, ranges: Ranges) -> QGraph:
    """The int8 model of a float graph whose activations have the given (minimum, maximum).

    Raises:
        BadInputError: an activation has no range, or an operator cannot be quantized.
    """
    tensors = quantized_ports(graph, ranges)
    nodes = [quantize_node(graph.call(node), tensors, ranges) for node in graph.nodes]
    return QGraph(tensors, tuple(nodes), graph.inputs, graph.outputs, name=graph.name).verify()


def quantized_ports(graph: Graph, ranges: Ranges) -> dict[str, Tensor]:
    """The integer tensors that no node computes: inputs, and constants that the model returns."""
    tensors: dict[str, Tensor] = {}
    for port in graph.inputs:
        tensors[port.tensor] = _quantized(graph.tensors[port.tensor], ranges)
    for port in graph.outputs:
        if graph.tensors[port.tensor].is_constant:
            tensors[port.tensor] = quantize_operand(graph.tensors[port.tensor])
    return tensors


def quantize_node(call: Call, tensors: dict[str, Tensor], ranges: Ranges) -> Node:
    """Quantize the output and the constants of a call into ``tensors``; the integer node.

    The tensors that it reads must be there already.
    """
    call = with_integer_ends(call, tensors, ranges)
    tensors[call.output.name] = call.output
    result = operator_of(call.node).quantize(call)
    names = list(call.node.inputs)
    for position, tensor in result.constants.items():
        names[position] = keep_constant(tensor, call.node, tensors)
    return dataclasses.replace(call.node, inputs=tuple(names), arithmetic=result.arithmetic)


def with_integer_ends(call: Call, tensors: Mapping[str, Tensor], ranges: Ranges) -> Call:
    """A float call whose activations are the integer tensors, its constants still float."""
    inputs = tuple(t if t.is_constant else tensors[t.name] for t in call.inputs)
    call = dataclasses.replace(call, inputs=inputs)
    shared = operator_of(call.node).output_quantization(call)
    return dataclasses.replace(call, outputs=(_quantized(call.output, ranges, shared),))


def _quantized(tensor: Tensor, ranges: Ranges, shared: Quantization | None = None) -> Tensor:
    if tensor.dtype == "int32":
        return tensor
    if shared is None:
        if tensor.name not in ranges:
            raise BadInputError(f"tensor '{tensor.name}': it was not calibrated")
        shared = quantization_of(*ranges[tensor.name])
    return dataclasses.replace(tensor, dtype="int8", quantization=shared)


def keep_constant(tensor: Tensor, node: Node, tensors: dict[str, Tensor]) -> str:
    """Keep a constant under its name, or under one of its own where another node's differs."""
    known = tensors.get(tensor.name)
    if known is not None and not _same(known, tensor):
        tensor = dataclasses.replace(tensor, name=f"{tensor.name}/{node.name}")
    tensors[tensor.name] = tensor
    return tensor.name


def _same(left: Tensor, right: Tensor) -> bool:
    if left.data is None or right.data is None:
        return False
    same_type = (left.dtype, left.quantization) == (right.dtype, right.quantization)
    return same_type and np.array_equal(left.data, right.data)
