# SPDX-License-Identifier: Apache-2.0
"""Plain post-training quantization: int8 activations from calibrated ranges, int8 weights.

Scheme of Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference" (2018), with weights per output channel and symmetric.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from edgekit.errors import BadInputError
from edgekit.ir import Call, Graph, Node, QGraph, Quantization, Tensor
from edgekit.ops import operator_of
from edgekit.ops._elementwise import quantize_operand

LEVELS = 255
SCALE_BITS = 16
LEAST_SCALE = 2.0**-40


def quantize(graph: Graph, ranges: Mapping[str, tuple[float, float]]) -> QGraph:
    """The int8 model of a float graph whose activations have the given (minimum, maximum).

    Raises:
        BadInputError: an activation has no range, or an operator cannot be quantized.
    """
    tensors: dict[str, Tensor] = {}
    for port in graph.inputs:
        tensors[port.tensor] = _quantized(graph.tensors[port.tensor], ranges)
    for port in graph.outputs:
        if graph.tensors[port.tensor].is_constant:
            tensors[port.tensor] = quantize_operand(graph.tensors[port.tensor])
    nodes = [_quantize_node(graph.call(node), tensors, ranges) for node in graph.nodes]
    return QGraph(tensors, tuple(nodes), graph.inputs, graph.outputs, name=graph.name).verify()


def quantization_of(minimum: float, maximum: float) -> Quantization:
    """Scale and zero point of int8 for a range, which is widened to hold 0 exactly.

    The scale is rounded up to 16 significant bits: it survives every file format, and the last bits
    of the calibrated range, which differ between machines, do not reach it. A range of one point
    gives a scale of 1/255.
    """
    low, high = min(minimum, 0.0), max(maximum, 0.0)
    if high == low:
        high = 1.0
    scale = max(_rounded_up((high - low) / LEVELS), LEAST_SCALE)
    zero_point = round(-128 - low / scale)
    return Quantization(scale, max(-128, min(127, zero_point)))


def _rounded_up(scale: float) -> float:
    """The least number of 16 significant bits that is not below ``scale``."""
    fraction, exponent = math.frexp(scale)
    return math.ldexp(math.ceil(fraction * 2**SCALE_BITS), exponent - SCALE_BITS)


def _quantized(
    tensor: Tensor, ranges: Mapping[str, tuple[float, float]], shared: Quantization | None = None
) -> Tensor:
    if tensor.dtype == "int32":
        return tensor
    if shared is None:
        if tensor.name not in ranges:
            raise BadInputError(f"tensor '{tensor.name}': it was not calibrated")
        shared = quantization_of(*ranges[tensor.name])
    return dataclasses.replace(tensor, dtype="int8", quantization=shared)


def _quantize_node(
    call: Call, tensors: dict[str, Tensor], ranges: Mapping[str, tuple[float, float]]
) -> Node:
    """Quantize the output and the constants of a call into ``tensors``; the integer node."""
    operator = operator_of(call.node)
    inputs = tuple(t if t.is_constant else tensors[t.name] for t in call.inputs)
    call = dataclasses.replace(call, inputs=inputs)
    output = _quantized(call.output, ranges, operator.output_quantization(call))
    call = dataclasses.replace(call, outputs=(output,))
    tensors[output.name] = output
    result = operator.quantize(call)
    names = list(call.node.inputs)
    for position, tensor in result.constants.items():
        names[position] = keep_constant(tensor, call.node, tensors)
    return dataclasses.replace(call.node, inputs=tuple(names), arithmetic=result.arithmetic)


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
