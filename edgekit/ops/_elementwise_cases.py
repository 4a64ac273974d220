# SPDX-License-Identifier: Apache-2.0
"""Edge cases of two operands: every kind of them, and every pair of int8 values."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from edgekit.ir import QGraph, Quantization, Shape, Tensor, constant
from edgekit.ops._elementwise import broadcast_shape
from edgekit.ops._operator import Case, case_graph

_QUANTIZATION = Quantization(0.05, 0)  # the kernels see the zero points of the arithmetic only

_SHAPES: tuple[tuple[str, Shape, Shape, tuple[bool, bool]], ...] = (
    # name, shapes of the operands, which of them are constants
    ("same_shape", (1, 5, 7, 8), (1, 5, 7, 8), (False, False)),
    ("odd_channels", (1, 3, 5, 7), (1, 3, 5, 7), (False, False)),
    ("one_pixel", (1, 1, 1, 16), (1, 1, 1, 16), (False, False)),
    ("one_element", (1, 1, 1, 1), (1, 1, 1, 1), (False, False)),
    ("one_column", (1, 6, 1, 5), (1, 6, 1, 5), (False, False)),
    ("constant_map_second", (1, 4, 3, 5), (1, 4, 3, 5), (False, True)),
    ("constant_map_first", (1, 4, 3, 5), (1, 4, 3, 5), (True, False)),
    ("scalar_constant_second", (1, 4, 3, 5), (), (False, True)),
    ("scalar_constant_first", (1,), (1, 4, 3, 5), (True, False)),
    ("channel_constant_second", (1, 4, 3, 5), (5,), (False, True)),
    ("channel_constant_first", (1, 1, 1, 5), (1, 4, 3, 5), (True, False)),
    ("channel_vector_activation", (1, 4, 3, 5), (1, 1, 1, 5), (False, False)),
    ("channels_multiple_of_pixels", (1, 1, 1, 12), (1, 2, 3, 12), (False, False)),
    ("one_channel_of_many", (1, 4, 3, 5), (1, 4, 3, 1), (False, False)),
    ("one_channel_constant", (1, 4, 3, 1), (1, 1, 1, 5), (False, True)),
    ("repeated_over_rows", (1, 4, 3, 5), (1, 1, 3, 5), (False, False)),
    ("constant_repeated_over_rows", (1, 4, 3, 5), (3, 5), (False, True)),
    ("constant_first_repeated_over_rows", (1, 1, 3, 5), (1, 4, 3, 5), (True, False)),
    ("repeated_over_columns", (1, 4, 1, 5), (1, 4, 3, 5), (False, False)),
    ("constant_repeated_over_columns", (1, 4, 3, 5), (1, 4, 1, 5), (False, True)),
    ("both_repeated", (1, 4, 1, 5), (1, 1, 3, 1), (False, False)),
    ("vector", (1, 10), (10,), (False, True)),
    ("rank_3", (1, 6, 4), (1, 6, 4), (False, False)),
)


def binary_cases(op: str, attributes: Any, arithmetic: Any) -> Iterator[Case]:
    """One case per kind of operands, with the same integer parameters."""
    for name, first, second, constants in _SHAPES:
        yield _case(op, attributes, arithmetic, name, (first, second), constants)
    yield _same_tensor_twice(op, attributes, arithmetic)


def every_pair(op: str, attributes: Any, arithmetic: Any, name: str) -> Case:
    """All 65536 pairs of int8 values, for what happens at particular values (ties, saturation)."""
    values = np.arange(-128, 128).astype(np.int8)
    first, second = np.meshgrid(values, values, indexing="ij")
    shape = (1, 256, 256, 1)
    case = _case(op, attributes, arithmetic, name, (shape, shape), (False, False))
    return dataclasses.replace(case, inputs=((first.reshape(shape), second.reshape(shape)),))


def _case(
    op: str,
    attributes: Any,
    arithmetic: Any,
    name: str,
    shapes: tuple[Shape, Shape],
    constants: tuple[bool, bool],
) -> Case:
    random = np.random.default_rng(len(name))
    inputs = []
    for label, shape, is_constant in zip(("a", "b"), shapes, constants, strict=True):
        if is_constant:
            data = random.integers(-128, 128, shape).astype(np.int8)
            inputs.append(constant(label, data, quantization=_QUANTIZATION))
        else:
            inputs.append(Tensor(label, shape, "int8", _QUANTIZATION))
    return Case(name, _graph(op, attributes, arithmetic, inputs, name))


def _graph(op: str, attributes: Any, arithmetic: Any, inputs: list[Tensor], name: str) -> QGraph:
    shape = broadcast_shape([tensor.shape for tensor in inputs])
    assert shape is not None
    return case_graph(
        op,
        inputs=inputs,
        output=Tensor("y", shape, "int8", _QUANTIZATION),
        attributes=attributes,
        arithmetic=arithmetic,
        name=name,
    )


def _same_tensor_twice(op: str, attributes: Any, arithmetic: Any) -> Case:
    """x with itself, every value of x: one input of the model, two operands."""
    x = Tensor("x", (1, 1, 64, 4), "int8", _QUANTIZATION)
    graph = _graph(op, attributes, arithmetic, [x, x], "same_tensor_twice")
    graph = dataclasses.replace(graph, inputs=graph.inputs[:1]).verify()
    values = np.arange(-128, 128).astype(np.int8).reshape(x.shape)
    return Case("same_tensor_twice", graph, ((values,),))
