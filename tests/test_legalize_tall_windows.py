# SPDX-License-Identifier: Apache-2.0
"""Windows of more than 64 rows become rows: the same integers, and kernels that serve them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from support.graphs import GraphBuilder
from support.models import convert_graph
from support.tflite_oracle import seeded_inputs

from edgekit.converters.legalize import legalize_integer
from edgekit.errors import UnsupportedError
from edgekit.interpret import interpret
from edgekit.ir import QGraph
from edgekit.ops.average_pool2d import AveragePool2d
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.window import Axis, Window

TALL = Axis(70, 1, 1, 3, 2)


def conv2d(b: GraphBuilder, x: str, window: Window) -> str:
    return b.conv2d(x, 3, window)


def depthwise(b: GraphBuilder, x: str, window: Window) -> str:
    return b.depthwise(x, window)


def average(b: GraphBuilder, x: str, window: Window) -> str:
    return b.node("average_pool2d", AveragePool2d(window, False, -0.2, 0.9), x)


def average_counted(b: GraphBuilder, x: str, window: Window) -> str:
    return b.node("average_pool2d", AveragePool2d(window, count_padding=True), x)


def maximum(b: GraphBuilder, x: str, window: Window) -> str:
    return b.node("max_pool2d", MaxPool2d(window, -0.2, 0.9), x)


Layer = Callable[[GraphBuilder, str, Window], str]
CASES: dict[str, tuple[Layer, tuple[int, int], Window]] = {
    "conv_of_a_column": (conv2d, (80, 1), Window(TALL, Axis(1))),
    "conv_of_a_column_wide_kernel": (conv2d, (80, 1), Window(TALL, Axis(3, 1, 1, 1, 1))),
    "conv_whole_map": (conv2d, (66, 5), Window(Axis(66), Axis(5))),
    "depthwise_of_a_column": (depthwise, (80, 1), Window(Axis(66, 3, 1), Axis(1))),
    "depthwise_whole_map": (depthwise, (66, 5), Window(Axis(66), Axis(5))),
    "average_of_a_column": (average, (80, 1), Window(TALL, Axis(1))),
    "average_over_time": (average, (80, 4), Window(Axis(65, 2, 1, 0, 3), Axis(1))),
    "average_over_time_counted": (average_counted, (80, 4), Window(TALL, Axis(1))),
    "average_whole_map": (average, (66, 5), Window(Axis(66), Axis(5))),
    "maximum_over_time": (maximum, (80, 4), Window(TALL, Axis(1))),
    "maximum_of_a_column": (maximum, (80, 1), Window(TALL, Axis(2, 1, 1, 0, 1))),
    "maximum_dilated": (maximum, (150, 4), Window(Axis(66, 1, 2), Axis(2, 2))),
    "maximum_whole_map": (maximum, (66, 5), Window(Axis(66), Axis(5))),
}


def model(name: str) -> QGraph:
    layer, (height, width), window = CASES[name]
    b = GraphBuilder(name)
    return b.graph(layer(b, b.input("x", (1, height, width, 2)), window))


@pytest.mark.parametrize("name", CASES)
def test_tall_window_is_the_same_function_in_a_row(name: str) -> None:
    graph = model(name)
    legal = legalize_integer(graph)
    for sample in seeded_inputs(graph, samples=5):
        before, after = (interpret(g, sample, outputs_only=True) for g in (graph, legal))
        assert np.array_equal(before[graph.outputs[0].tensor], after[legal.outputs[0].tensor])
    for node in legal.nodes:
        assert node.op == "reshape" or node.attributes.window.height.kernel <= 64
    convert_graph(graph).validate().assert_ok()


def test_a_window_that_is_no_row_is_refused_with_its_size() -> None:
    b = GraphBuilder()
    graph = b.graph(b.conv2d(b.input("x", (1, 80, 6, 2)), 2, Window(Axis(70), Axis(3))))
    with pytest.raises(UnsupportedError, match="spans 70 rows, more than 64"):
        convert_graph(graph)
