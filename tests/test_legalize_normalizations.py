# SPDX-License-Identifier: Apache-2.0
"""Normalizations fuse with what they are made of and what is around them, and keep their function."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_legalize import RELU, Step, assert_same_function, chain, scale, shift, values

from edgekit.ir import Graph, Node, Port, Tensor, constant
from edgekit.ops import operators
from edgekit.ops.add import Add
from edgekit.ops.fully_connected import FullyConnected
from edgekit.ops.layer_normalization import MAX_DEPTH, LayerNormalization
from edgekit.ops.lookup import Lookup
from edgekit.ops.mean import Mean
from edgekit.ops.mul import Mul
from edgekit.ops.softmax import Softmax
from edgekit.ops.squared_difference import SquaredDifference
from edgekit.ops.sub import Sub
from edgekit.ops.transpose import Transpose

NORM: Step = ("layer_normalization", LayerNormalization(1e-3), [values(4), values(4) + 1])
SOFTMAX: Step = ("softmax", Softmax(0.5), [])
ROWS_AND_COLUMNS: Step = ("transpose", Transpose((0, 2, 1, 3)), [])
COLUMNS_LAST: Step = ("transpose", Transpose((0, 1, 3, 2)), [])


def times(*numbers: float) -> Step:
    return ("mul", Mul(), [np.array(numbers, np.float32)])


def dense(inputs: int) -> Step:
    return ("fully_connected", FullyConnected(keep_dims=True), [values(7, inputs), values(7)])


CHAINS: dict[str, tuple[list[Step], list[str]]] = {
    "gamma_and_beta": ([NORM, scale(4), shift(1, 1, 1, 4)], ["layer_normalization"]),
    "beta_and_gamma": ([NORM, shift(1), scale(4)], ["layer_normalization"]),
    "clamp_between": ([NORM, RELU, scale(4)], ["layer_normalization", "requantize", "mul"]),
    "map_is_no_vector": ([NORM, shift(1, 6, 1, 4)], ["layer_normalization", "add"]),
    "softmax_of_products": ([times(2.5), SOFTMAX], ["softmax"]),
    "softmax_of_negatives": ([times(-2.5), SOFTMAX], ["mul", "softmax"]),
    "softmax_of_nothing": ([times(0.0), SOFTMAX], ["mul", "softmax"]),
    "softmax_of_scaled_channels": ([times(1.0, 2.0, 3.0, 4.0), SOFTMAX], ["mul", "softmax"]),
    "rows_that_move": ([ROWS_AND_COLUMNS, SOFTMAX, ROWS_AND_COLUMNS], ["softmax"]),
    "pixels_that_move": (
        [ROWS_AND_COLUMNS, NORM, ROWS_AND_COLUMNS],
        ["layer_normalization"],
    ),
    "channels_that_move": (
        [COLUMNS_LAST, SOFTMAX, COLUMNS_LAST],
        ["transpose", "softmax", "transpose"],
    ),
    "dense_of_pixels": ([dense(4)], ["conv2d"]),
}


@pytest.mark.parametrize("name", CHAINS)
def test_neighbours_fold(name: str) -> None:
    steps, expected = CHAINS[name]
    assert_same_function(chain(*steps), expected)


def test_dense_of_one_pixel_stays() -> None:
    assert_same_function(chain(dense(9), shape=(1, 1, 1, 9)), ["fully_connected"])


def spelled_out(
    shape: tuple[int, ...], axis: int, *, swapped: bool = False, other: bool = False
) -> Graph:
    """(x - mean) * rsqrt(mean of squared differences + epsilon), as TensorFlow has it.

    other: the differences are to the mean of another axis.
    """
    mean = Mean((axis,), True)
    tensors = {"x": Tensor("x", shape, "float32"), "e": constant("e", np.full(1, 1e-3, np.float32))}
    nodes: list[Node] = []

    def node(name: str, op: str, attributes: Any, *inputs: str) -> None:
        shapes = [tensors[tensor].shape for tensor in inputs]
        result = operators()[op].output_shape(attributes, shapes)
        tensors[name] = Tensor(name, result, "float32")
        nodes.append(Node(name, op, inputs, (name,), attributes))

    node("mean", "mean", mean, "x")
    node("other", "mean", Mean((1,), True) if other else mean, "x")
    node("deviation", "sub", Sub(), "x", "mean")
    pair = ("other", "x") if swapped else ("x", "other")
    node("squares", "squared_difference", SquaredDifference(), *pair)
    node("variance", "mean", mean, "squares")
    node("added", "add", Add(), "variance", "e")
    node("inverse", "lookup", Lookup("rsqrt"), "added")
    node("y", "mul", Mul(), *(("inverse", "deviation") if swapped else ("deviation", "inverse")))
    ports = (Port("x", "x", shape),), (Port("y", "y", shape),)
    return Graph(tensors, tuple(nodes), *ports).verify()


SWAPPED_AXES = ["transpose", "layer_normalization", "transpose"]


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(("axis", "expected"), [(3, ["layer_normalization"]), (2, SWAPPED_AXES)])
def test_squared_differences_fuse(axis: int, expected: list[str], swapped: bool) -> None:
    assert_same_function(spelled_out((1, 4, 5, 6), axis, swapped=swapped), expected)


def test_differences_to_another_mean_stay() -> None:
    graph = spelled_out((1, 4, 5, 6), 3, other=True)
    assert_same_function(graph, [node.op for node in graph.nodes])


@pytest.mark.parametrize("extra", [0, 1])
def test_more_elements_than_32_bits_hold_stay(extra: int) -> None:
    graph = spelled_out((1, MAX_DEPTH + extra), 1)
    expected = [node.op for node in graph.nodes] if extra else ["layer_normalization"]
    assert_same_function(graph, expected)


def test_a_norm_with_another_reader_keeps_its_vectors() -> None:
    graph = chain(NORM, scale(4))
    port = Port("norm", "t0", graph.tensors["t0"].shape)
    both = Graph(graph.tensors, graph.nodes, graph.inputs, (*graph.outputs, port)).verify()
    assert_same_function(both, ["layer_normalization", "mul"])
