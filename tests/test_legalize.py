# SPDX-License-Identifier: Apache-2.0
"""Legalization keeps the function of a graph: float up to rounding, integer graphs bit for bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from edgekit.converters.legalize import legalize, legalize_integer
from edgekit.converters.quantize.calibrate import calibrate
from edgekit.converters.quantize.ptq import quantize
from edgekit.converters.samples import noise_samples
from edgekit.interpret import interpret, interpret_float
from edgekit.ir import Graph, Node, Port, QGraph, Tensor, constant
from edgekit.ops import operators
from edgekit.ops.add import Add
from edgekit.ops.conv2d import Conv2d
from edgekit.ops.depthwise_conv2d import DepthwiseConv2d
from edgekit.ops.fully_connected import FullyConnected
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.ops.mul import Mul
from edgekit.ops.pad import Pad
from edgekit.ops.requantize import Requantize
from edgekit.ops.reshape import Reshape
from edgekit.ops.transpose import Transpose
from edgekit.window import Axis, Window

SHAPE = (1, 6, 5, 4)


def values(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


Step = tuple[str, Any, Sequence[np.ndarray[Any, Any]]]

CONV: Step = ("conv2d", Conv2d(Window(Axis(3, 2), Axis(3))), [values(8, 3, 3, 4), values(8)])
CONV_WITHOUT_BIAS: Step = ("conv2d", Conv2d(Window(Axis(1), Axis(1))), [values(8, 1, 1, 4)])
DEPTHWISE: Step = (
    "depthwise_conv2d",
    DepthwiseConv2d(Window(Axis(2), Axis(3, pad_before=1))),
    [values(1, 2, 3, 8), values(8)],
)
PAD: Step = ("pad", Pad((0, 1, 0, 0), (0, 2, 3, 0)), [])
RELU: Step = ("requantize", Requantize(0.0, None), [])
CLAMP: Step = ("requantize", Requantize(-0.4, 0.6), [])
FLATTEN: Step = ("reshape", Reshape((1, 120)), [])
TO_SOURCE: Step = ("transpose", Transpose((0, 3, 1, 2)), [])
TO_STORAGE: Step = ("transpose", Transpose((0, 2, 3, 1)), [])
LINEAR: Step = ("fully_connected", FullyConnected(), [values(7, 120), values(7)])
MAX_POOL: Step = ("max_pool2d", MaxPool2d(Window(Axis(2), Axis(2, 2))), [])


def scale(*shape: int) -> Step:
    return ("mul", Mul(), [values(*shape)])


def shift(*shape: int) -> Step:
    return ("add", Add(), [values(*shape)])


def chain(*steps: Step, shape: tuple[int, ...] = SHAPE) -> Graph:
    """A float graph of one operator behind the other."""
    tensors = {"x": Tensor("x", shape, "float32")}
    nodes: list[Node] = []
    last = "x"
    for number, (op, attributes, arrays) in enumerate(steps):
        names = [last]
        for position, array in enumerate(arrays):
            names.append(f"c{number}_{position}")
            tensors[names[-1]] = constant(names[-1], array)
        shapes = [tensors[name].shape for name in names]
        last = f"t{number}"
        tensors[last] = Tensor(last, operators()[op].output_shape(attributes, shapes), "float32")
        nodes.append(Node(f"n{number}", op, tuple(names), (last,), attributes))
    ports = (Port("x", "x", shape),), (Port("y", last, tensors[last].shape),)
    return Graph(tensors, tuple(nodes), *ports).verify()


def outputs_of(graph: Graph, x: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    results = interpret_float(graph, [x])
    return [results[port.tensor] for port in graph.outputs]


def assert_same_function(graph: Graph, ops: Sequence[str]) -> Graph:
    legal = legalize(graph)
    assert [node.op for node in legal.nodes] == list(ops)
    x = values(*graph.tensors["x"].shape)
    for before, after in zip(outputs_of(graph, x), outputs_of(legal, x), strict=True):
        # Folded weights are rounded to float32 once: 2^-24 relative for each of some 36 products.
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-5 * max(1, np.abs(before).max()))
    return legal


FOLDS: dict[str, tuple[list[Step], list[str]]] = {
    "batch_norm": ([CONV, scale(1, 1, 1, 8), shift(1, 1, 1, 8), RELU], ["conv2d"]),
    "batch_norm_without_bias": ([CONV_WITHOUT_BIAS, scale(8), shift(8)], ["conv2d"]),
    "scalar_scale": ([CONV, scale(1)], ["conv2d"]),
    "depthwise": ([CONV, DEPTHWISE, scale(1, 1, 1, 8), shift(1)], ["conv2d", "depthwise_conv2d"]),
    "fully_connected": ([FLATTEN, LINEAR, scale(1, 7), shift(7)], ["reshape", "fully_connected"]),
    "clamp_between_stays": ([CONV, RELU, scale(8)], ["conv2d", "mul"]),
    "map_is_no_vector": ([CONV, shift(1, 2, 3, 8)], ["conv2d", "add"]),
    "broadcast_that_grows": ([FLATTEN, LINEAR, scale(3, 7)], ["reshape", "fully_connected", "mul"]),
    "clamp_of_clamp": ([CONV, RELU, CLAMP], ["conv2d"]),
    "clamp_above_clamp": ([CONV, ("requantize", Requantize(1.0, 2.0), []), CLAMP], ["conv2d"]),
    "clamps_of_input": ([RELU, CLAMP], ["requantize"]),
    "clamp_behind_max_pool": ([CONV, MAX_POOL, RELU], ["conv2d", "max_pool2d"]),
    "clamp_behind_pooled_input": ([MAX_POOL, RELU], ["max_pool2d"]),
    "pad": ([PAD, CONV], ["conv2d"]),
    "pad_of_channels_stays": (
        [("pad", Pad((0, 1, 0, 1), (0, 0, 0, 3)), []), ("max_pool2d", MAX_POOL[1], [])],
        ["pad", "max_pool2d"],
    ),
    "pad_before_depthwise": ([CONV, PAD, DEPTHWISE], ["conv2d", "depthwise_conv2d"]),
    "flatten_in_source_order": (
        [TO_SOURCE, FLATTEN, LINEAR],
        ["reshape", "fully_connected"],
    ),
    "relu_before_source_order": (
        [RELU, TO_SOURCE, RELU, FLATTEN, CLAMP, LINEAR],
        ["requantize", "reshape", "fully_connected"],
    ),
    "transposes_cancel": ([RELU, TO_SOURCE, TO_STORAGE, MAX_POOL], ["requantize", "max_pool2d"]),
    "reshapes_merge": ([FLATTEN, ("reshape", Reshape((1, 10, 12)), [])], ["reshape"]),
    "transposes_merge": ([TO_SOURCE, TO_SOURCE], ["transpose"]),
}


@pytest.mark.parametrize("name", FOLDS)
def test_folds_keep_the_function(name: str) -> None:
    steps, ops = FOLDS[name]
    assert_same_function(chain(*steps), ops)


def test_transpose_of_size_1_axes_becomes_a_reshape() -> None:
    legal = assert_same_function(chain(TO_SOURCE, shape=(1, 1, 1, 9)), ["reshape"])
    assert legal.nodes[0].attributes == Reshape((1, 9, 1, 1))


def test_nothing_folds_over_a_second_reader_or_an_output() -> None:
    graph = chain(CONV, scale(8), RELU)
    also_output = (*graph.outputs, Port("raw", "t0", graph.tensors["t0"].shape))
    assert_same_function(dataclasses.replace(graph, outputs=also_output), ["conv2d", "mul"])
    both = Node("sum", "add", ("t1", "t0"), ("s",), Add())
    tensors = {**graph.tensors, "s": dataclasses.replace(graph.tensors["t1"], name="s")}
    ports = (Port("s", "s", tensors["s"].shape),)
    read_twice = dataclasses.replace(
        graph, nodes=(*graph.nodes, both), tensors=tensors, outputs=ports
    )
    assert_same_function(read_twice.verify(), ["conv2d", "mul", "add"])


def test_identities_at_the_interface_stay() -> None:
    assert_same_function(chain(("reshape", Reshape(SHAPE), [])), ["reshape"])


def test_folding_leaves_the_given_graph_alone() -> None:
    graph = chain(PAD, CONV, scale(8), RELU)
    nodes, tensors = graph.nodes, dict(graph.tensors)
    legalize(graph)
    assert (graph.nodes, dict(graph.tensors)) == (nodes, tensors)


def quantized(*steps: Step, shape: tuple[int, ...] = SHAPE) -> QGraph:
    graph = chain(*steps, shape=shape)
    return quantize(graph, calibrate(graph, noise_samples(graph, 2, 0)).ranges)


def assert_same_integers(graph: QGraph, ops: Sequence[str]) -> None:
    legal = legalize_integer(graph)
    assert [node.op for node in legal.nodes] == list(ops)
    random = np.random.default_rng(0)
    for _ in range(3):
        x = random.integers(-128, 128, graph.tensors["x"].shape).astype(np.int8)
        before, after = interpret(graph, [x]), interpret(legal, [x])
        for old, new in zip(graph.outputs, legal.outputs, strict=True):
            np.testing.assert_array_equal(after[new.tensor], before[old.tensor])


INTEGER_FOLDS: dict[str, tuple[list[Step], list[str]]] = {
    "pad": ([PAD, CONV], ["conv2d"]),
    "pad_before_depthwise": ([CONV, PAD, DEPTHWISE], ["conv2d", "depthwise_conv2d"]),
    "transposes": ([CONV, TO_SOURCE, TO_STORAGE, MAX_POOL], ["conv2d", "max_pool2d"]),
    "reshapes": (
        [CONV, ("reshape", Reshape((1, 48)), []), ("reshape", Reshape((1, 6, 8)), [])],
        ["conv2d", "reshape"],
    ),
    "functions_in_a_row": ([RELU, CLAMP, scale(1), RELU], ["lookup"]),
}


@pytest.mark.parametrize("name", INTEGER_FOLDS)
def test_integer_folds_are_bit_exact(name: str) -> None:
    steps, ops = INTEGER_FOLDS[name]
    assert_same_integers(quantized(*steps), ops)


def test_integer_transpose_of_size_1_axes_becomes_a_reshape() -> None:
    graph = quantized(RELU, TO_SOURCE, shape=(1, 1, 1, 9))
    assert_same_integers(graph, ["requantize", "reshape"])


def test_integer_pad_of_another_value_stays() -> None:
    graph = quantized(PAD, CONV)
    pad = graph.nodes[0]
    other = dataclasses.replace(pad.arithmetic, value=pad.arithmetic.value + 1)
    changed = dataclasses.replace(pad, arithmetic=other)
    assert_same_integers(
        dataclasses.replace(graph, nodes=(changed, *graph.nodes[1:])), ["pad", "conv2d"]
    )
