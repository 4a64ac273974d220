# SPDX-License-Identifier: Apache-2.0
"""Edge cases of int16 layers: the twins of int8 ones, and what sums of 64 bits add."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from edgekit.ir import Array, QGraph, Quantization, Shape, Tensor, constant
from edgekit.ops._operator import Case, Operator, case_graph
from edgekit.ops._weighted import WeightedArithmetic

Adjust = Callable[[Any], Any]
_ENDS = {-128: -32768, 127: 32767}


def int16_cases(
    cases: Iterable[Case], *, adjust: Adjust = lambda arithmetic: arithmetic, bias: str = "int64"
) -> Iterator[Case]:
    """The int16 twin of every int8 case.

    Zero points become 0, clamps and constants wider; ``adjust`` changes the integer parameters
    further. Given inputs are tried as they are, and 256 times as large.
    """
    for case in cases:
        (node,) = case.graph.nodes
        if case.graph.tensors[node.inputs[0]].dtype == "int8":
            graph = int16_graph(case.graph, adjust=adjust, bias=bias)
            yield Case(f"int16_{case.name}", graph, _inputs(case))


def int16_graph(
    graph: QGraph, *, adjust: Adjust = lambda arithmetic: arithmetic, bias: str = "int64"
) -> QGraph:
    """A model of one int8 node as an int16 one."""
    (node,) = graph.nodes
    tensors = {t.name: _wide_tensor(t, bias) for t in graph.tensors.values()}
    arithmetic = adjust(_wide_arithmetic(node.arithmetic))
    node = dataclasses.replace(node, arithmetic=arithmetic)
    return dataclasses.replace(graph, tensors=tensors, nodes=(node,)).verify()


def _wide_tensor(tensor: Tensor, bias: str) -> Tensor:
    """Activations and operands become int16, a bias ``bias``; weights stay int8."""
    q = tensor.quantization
    symmetric = None if q is None else Quantization(q.scale, 0)
    if tensor.data is None:
        return dataclasses.replace(tensor, dtype="int16", quantization=symmetric)
    if q is not None:
        data = np.asarray(tensor.data.astype(np.int64) * 201).astype(np.int16)
        return constant(tensor.name, data, quantization=symmetric)
    if tensor.dtype == "int32":
        return constant(tensor.name, tensor.data.astype(bias))
    return tensor


def _wide_arithmetic(arithmetic: Any) -> Any:
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(arithmetic):
        value = getattr(arithmetic, field.name)
        if "zero_point" in field.name:
            changes[field.name] = (0,) * len(value) if isinstance(value, tuple) else 0
        elif field.name in ("minimum", "maximum", "value"):
            changes[field.name] = _ENDS.get(value, 201 * value)
    return dataclasses.replace(arithmetic, **changes)


def _inputs(case: Case) -> tuple[tuple[Array, ...], ...]:
    as_they_are = tuple(tuple(x.astype(np.int16) for x in row) for row in case.inputs)
    return as_they_are + tuple(tuple(x * np.int16(256) for x in row) for row in as_they_are)


def wide_sum_cases(operator: Operator, attributes: Any, shape: Shape) -> Iterator[Case]:
    """Layers of 1 x 1 weights over ``shape``, whose last dimension is ``channels`` inputs."""
    ones = _weights(operator, np.array([1, 3, 1, -1]))
    halves = (2**30, 2**30, 2**30 + 2**15, 2**30 + 2**15 - 1)
    yield _case(
        operator, "int16_ties_of_the_multiplier", attributes, shape, ones, halves, (0, 0, 0, 0)
    )
    largest = (2**31 - 1, 0x7FFF0000, 0x7FFEFFFF, 0)
    yield _case(
        operator, "int16_largest_multipliers", attributes, shape, ones, largest, (0, 0, -1, 7)
    )
    bias = np.array([2**45, -(2**45), 2**33 + 1, -(2**33) - 1], np.int64)
    shifts = (-31, -30, -18, -19)
    yield _case(
        operator, "int16_sums_of_46_bits", attributes, shape, ones, (2**30 + 5,) * 4, shifts, bias
    )


def narrow_sum_cases(operator: Operator, attributes: Any, shape: Shape) -> Iterator[Case]:
    """The same with an int32 bias: ties of both roundings, and sums that wrap."""
    ones = _weights(operator, np.array([1, 3, 1, -1]))
    bias = np.array([0, 0, 1, 1], np.int32)
    yield _case(
        operator,
        "int16_narrow_rounding_ties",
        attributes,
        shape,
        ones,
        (2**30,) * 4,
        (0, 0, -1, -1),
        bias,
    )
    ends = np.array([2**31 - 1, -(2**31), 2**31 - 5, -(2**31) + 5], np.int32)
    yield _case(
        operator,
        "int16_narrow_sums_wrap",
        attributes,
        shape,
        ones,
        (2**30 + 5,) * 4,
        (-15, -15, -16, -16),
        ends,
    )


def _weights(operator: Operator, values: Array) -> Array:
    """One int8 weight for each of 4 output channels."""
    shapes = {"fully_connected": (4, 1), "depthwise_conv2d": (1, 1, 1, 4)}
    return values.astype(np.int8).reshape(shapes.get(operator.name, (4, 1, 1, 1)))


def _case(
    operator: Operator,
    name: str,
    attributes: Any,
    shape: Shape,
    weights: Array,
    multipliers: tuple[int, ...],
    shifts: tuple[int, ...],
    bias: Array | None = None,
) -> Case:
    """Every 37th int16 value, and those around 0 and at both ends, through four channels."""
    elements = int(np.prod(shape))
    ends = np.concatenate([np.arange(-32768, -32700), np.arange(-40, 40), np.arange(32700, 32768)])
    values = np.resize(np.concatenate([ends, np.arange(-32768, 32768, 37)]), elements)
    x = values.astype(np.int16).reshape(shape)
    constants = [constant("weights", weights)]
    constants += [] if bias is None else [constant("bias", bias)]
    output_shape = operator.output_shape(attributes, [shape, weights.shape])
    graph = case_graph(
        operator.name,
        inputs=[Tensor("x", shape, "int16", Quantization(0.05, 0)), *constants],
        output=Tensor("y", output_shape, "int16", Quantization(0.1, 0)),
        attributes=attributes,
        arithmetic=WeightedArithmetic(0, 0, multipliers, shifts, -32768, 32767),
        name=name,
    )
    return Case(name, graph, ((x,),))
