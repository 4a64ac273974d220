# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies: random calls that move, join, multiply and search tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from edgekit.ir import Call, Node, Quantization, Shape, Tensor, constant
from edgekit.ops import operators
from edgekit.ops.argmax import Argmax
from edgekit.ops.batch_matmul import BatchMatmul
from edgekit.ops.concat import Concat
from edgekit.ops.reduce_min import ReduceMin
from edgekit.ops.slice import Slice
from edgekit.ops.sum import Sum
from edgekit.ops.tile import Tile

Draw = Callable[[st.SearchStrategy[Any]], Any]

SIZES = st.integers(1, 7)


def _activation(draw: Draw, shape: Shape, name: str = "x") -> Tensor:
    quantization = Quantization(draw(st.floats(0.004, 0.3)), draw(st.integers(-128, 127)))
    return Tensor(name, shape, "float32", quantization)


def _call(draw: Draw, op: str, attributes: Any, inputs: Sequence[Tensor]) -> Call:
    operator = operators()[op]
    shape = operator.output_shape(attributes, [tensor.shape for tensor in inputs])
    output = _activation(draw, shape, "y")
    if operator.returns_indices:
        output = Tensor("y", shape, "int32")
    node = Node(op, op, tuple(tensor.name for tensor in inputs), ("y",), attributes)
    call = Call(node, tuple(inputs), (output,))
    if (shared := operator.output_quantization(call)) is not None:
        call = dataclasses.replace(
            call, outputs=(dataclasses.replace(output, quantization=shared),)
        )
    operator.verify(call)
    return call


def _map_shape(draw: Draw) -> Shape:
    return (1, *(draw(SIZES) for _ in range(draw(st.integers(1, 3)))))


@st.composite
def concat(draw: Draw) -> Call:
    """Several activations, one of them perhaps twice, with scales of their own."""
    shape = _map_shape(draw)
    axis = draw(st.integers(1, len(shape) - 1))
    inputs = []
    for position in range(draw(st.integers(1, 4))):
        size = draw(SIZES)
        inputs.append(_activation(draw, (*shape[:axis], size, *shape[axis + 1 :]), f"x{position}"))
    if draw(st.booleans()):
        inputs.append(inputs[0])
    return _call(draw, "concat", Concat(axis), inputs)


@st.composite
def concat_constant(draw: Draw) -> Call:
    shape = _map_shape(draw)
    axis = draw(st.integers(1, len(shape) - 1))
    values = np.random.default_rng(draw(st.integers(0, 99))).normal(size=shape)
    inputs = [constant("c", values.astype(np.float32)), _activation(draw, shape)]
    return _call(draw, "concat", Concat(axis), inputs[:: draw(st.sampled_from((1, -1)))])


@st.composite
def slice_(draw: Draw) -> Call:
    shape = _map_shape(draw)
    runs = []
    for extent in shape:
        stride = draw(st.sampled_from((-3, -2, -1, 1, 2, 3)))
        begin = draw(st.integers(0, extent - 1))
        reach = begin if stride < 0 else extent - 1 - begin
        runs.append((begin, draw(st.integers(1, reach // abs(stride) + 1)), stride))
    attributes = Slice(*(tuple(values) for values in zip(*runs, strict=True)))
    return _call(draw, "slice", attributes, [_activation(draw, shape)])


@st.composite
def tile(draw: Draw) -> Call:
    shape = _map_shape(draw)
    multiples = (1, *(draw(st.integers(1, 3)) for _ in shape[1:]))
    return _call(draw, "tile", Tile(multiples), [_activation(draw, shape)])


@st.composite
def argmax(draw: Draw) -> Call:
    shape = _map_shape(draw)
    attributes = Argmax(draw(st.integers(0, len(shape) - 1)), draw(st.booleans()))
    return _call(draw, "argmax", attributes, [_activation(draw, shape)])


@st.composite
def batch_matmul(draw: Draw) -> Call:
    rows, depth, columns, batches = (draw(SIZES) for _ in range(4))
    attributes = BatchMatmul(draw(st.booleans()), draw(st.booleans()))
    x = (depth, rows) if attributes.adjoint_x else (rows, depth)
    y = (columns, depth) if attributes.adjoint_y else (depth, columns)
    fronts = st.sampled_from(((), (1,), (batches,), (1, 1), (1, batches)))
    tensors = [
        _activation(draw, (*draw(fronts), *shape), name) for name, shape in (("x", x), ("z", y))
    ]
    return _call(draw, "batch_matmul", attributes, tensors)


@st.composite
def sum_(draw: Draw) -> Call:
    shape = (1, draw(SIZES), draw(SIZES), draw(SIZES))
    axes = draw(st.sampled_from(((1,), (2,), (3,), (1, 2), (2, 3), (1, 2, 3))))
    return _call(draw, "sum", Sum(axes, draw(st.booleans())), [_activation(draw, shape)])


@st.composite
def reduce_min(draw: Draw) -> Call:
    shape = (1, draw(SIZES), draw(SIZES), draw(SIZES))
    axes = draw(st.sampled_from(((1,), (2,), (3,), (1, 2), (2, 3), (1, 2, 3))))
    attributes = ReduceMin(axes, draw(st.booleans()))
    return _call(draw, "reduce_min", attributes, [_activation(draw, shape)])


MOVEMENT_CALLS: dict[str, st.SearchStrategy[Call]] = {
    "concat": concat(),
    "concat_constant": concat_constant(),
    "slice": slice_(),
    "tile": tile(),
    "argmax": argmax(),
    "batch_matmul": batch_matmul(),
    "reduce_min": reduce_min(),
    "sum": sum_(),
}
"""A strategy for every operator of this family."""
