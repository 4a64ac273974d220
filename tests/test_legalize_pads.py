# SPDX-License-Identifier: Apache-2.0
"""Pads, identities, constants and functions of one integer: fewer operators, the same numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.graphs import GraphBuilder, square

from edgekit.converters.legalize import legalize, legalize_integer
from edgekit.interpret import interpret, interpret_float
from edgekit.ir import Graph, Node, Port, QGraph, Tensor, constant
from edgekit.ops import operators
from edgekit.ops.add import Add
from edgekit.ops.average_pool2d import AveragePool2d
from edgekit.ops.concat import Concat
from edgekit.ops.conv2d import Conv2d
from edgekit.ops.lookup import Lookup
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.ops.mul import Mul
from edgekit.ops.pad import Pad
from edgekit.ops.requantize import Requantize
from edgekit.ops.reshape import Reshape
from edgekit.ops.slice import axis_slice
from edgekit.ops.tile import Tile
from edgekit.window import Axis, Window

SHAPE = (1, 7, 6, 4)
POOL = Window(Axis(3, 2), Axis(2, 1))
CONV = Window(Axis(3), Axis(2))
UNEVEN = Pad((0, 1, 0, 0), (0, 2, 1, 0))
WIDE = Pad((0, 0, 2, 0), (0, 3, 0, 0))


class Chain(GraphBuilder):
    """One operator behind the other."""

    def __init__(self, seed: int = 3) -> None:
        super().__init__("chain", seed=seed)
        self.last = self.input("x", SHAPE)

    def then(self, op: str, attributes: Any, *constants: Tensor) -> Chain:
        self.last = self.node(op, attributes, self.last, *constants)
        return self

    def conv(self, window: Window = CONV, low: float | None = None) -> Chain:
        inputs = self.shape(self.last)[3]
        weights = self.constant((5, window.height.kernel, window.width.kernel, inputs), scale=0.3)
        return self.then("conv2d", Conv2d(window, low, None), weights, self.constant((5,)))

    def done(self) -> QGraph:
        return self.graph(self.last)


def changed(graph: QGraph, node: str, **fields: Any) -> QGraph:
    """The same model with other integer parameters of one node."""
    nodes = [
        dataclasses.replace(n, arithmetic=dataclasses.replace(n.arithmetic, **fields))
        if n.name == node
        else n
        for n in graph.nodes
    ]
    return dataclasses.replace(graph, nodes=tuple(nodes)).verify()


def same_scale(graph: QGraph, tensor: str, like: str) -> QGraph:
    quantization = graph.tensors[like].quantization
    other = dataclasses.replace(graph.tensors[tensor], quantization=quantization)
    return dataclasses.replace(graph, tensors={**graph.tensors, tensor: other})


def integer_ops(graph: QGraph) -> list[str]:
    """The operators that are left, after the outputs were compared on noise and extremes."""
    legal = legalize_integer(graph)
    random = np.random.default_rng(0)
    for number in range(5):
        noise = random.integers(-128, 128, SHAPE)
        x = (np.full(SHAPE, (-128, 127)[number]) if number < 2 else noise).astype(np.int8)
        before, after = interpret(graph, [x]), interpret(legal, [x])
        for old, new in zip(graph.outputs, legal.outputs, strict=True):
            np.testing.assert_array_equal(after[new.tensor], before[old.tensor])
    return [node.op for node in legal.nodes]


def counted(window: Window = POOL, **options: Any) -> AveragePool2d:
    return AveragePool2d(window, **options)


def test_consecutive_pads_merge() -> None:
    chain = Chain().then("pad", UNEVEN).then("pad", WIDE).then("softmax", _softmax())
    graph = chain.done()
    assert integer_ops(graph) == ["pad", "softmax"]
    merged = legalize_integer(graph).nodes[0].attributes
    assert (merged.before, merged.after) == ((0, 1, 2, 0), (0, 5, 1, 0))
    other = changed(graph, "pad_1", value=5)
    assert integer_ops(other) == ["pad", "pad", "softmax"]


def _softmax() -> Any:
    return operators()["softmax"].attributes()


def test_two_pads_fold_into_the_convolution_behind() -> None:
    assert integer_ops(Chain().then("pad", UNEVEN).then("pad", WIDE).conv().done()) == ["conv2d"]


def test_every_reader_of_a_pad_is_asked() -> None:
    chain = Chain().then("pad", UNEVEN)
    padded = chain.last
    first, second = chain.conv().last, None
    chain.last = padded
    second = chain.conv().last
    assert integer_ops(chain.graph(first, second)) == ["conv2d", "conv2d"]
    chain.last = padded
    third = chain.then("requantize", Requantize(0.0, None)).last
    ops = integer_ops(chain.graph(first, second, third))
    assert sorted(ops) == ["conv2d", "conv2d", "pad", "requantize"]


def test_mirrored_borders_stay() -> None:
    mirrored = dataclasses.replace(UNEVEN, mode="reflect")
    assert integer_ops(Chain().then("pad", mirrored).conv().done()) == ["pad", "conv2d"]
    pools = Chain().then("pad", mirrored).then("average_pool2d", counted()).done()
    assert integer_ops(pools) == ["pad", "average_pool2d"]


def test_pad_into_average_counts() -> None:
    graph = Chain().then("pad", UNEVEN).then("average_pool2d", counted()).done()
    assert integer_ops(graph) == ["average_pool2d"]
    assert legalize_integer(graph).nodes[0].attributes.count_padding
    assert integer_ops(changed(graph, "pad_0", value=3)) == ["pad", "average_pool2d"]
    padded = Window(Axis(3, 2, 1, 1, 1), Axis(2))
    both = Chain().then("pad", UNEVEN).then("average_pool2d", counted(padded, count_padding=True))
    assert integer_ops(both.done()) == ["average_pool2d"]
    inside_only = Chain().then("pad", UNEVEN).then("average_pool2d", counted(padded))
    assert integer_ops(inside_only.done()) == ["pad", "average_pool2d"]


def test_pad_that_whole_windows_lie_in_stays() -> None:
    far = Pad((0, 4, 0, 0), (0, 0, 0, 0))
    graph = Chain().then("pad", far).then("average_pool2d", counted()).done()
    assert integer_ops(graph) == ["pad", "average_pool2d"]


def test_pad_into_maximum_only_from_below() -> None:
    chain = Chain().conv(low=0.0).then("pad", UNEVEN).then("max_pool2d", MaxPool2d(POOL))
    graph = chain.done()  # behind a ReLU the zero point is the least value
    assert integer_ops(graph) == ["conv2d", "max_pool2d"]
    graph = Chain().conv().then("pad", UNEVEN).then("max_pool2d", MaxPool2d(POOL)).done()
    assert integer_ops(graph) == ["conv2d", "pad", "max_pool2d"]
    assert integer_ops(changed(graph, "pad_1", value=-128)) == ["conv2d", "max_pool2d"]
    assert integer_ops(changed(graph, "pad_1", value=127)) == ["conv2d", "pad", "max_pool2d"]


def clamp_chain(low: int, high: int) -> QGraph:
    """A convolution and a requantize that only clamps."""
    graph = Chain().conv().then("requantize", Requantize(None, None)).done()
    result, source = graph.nodes[1].outputs[0], graph.nodes[0].outputs[0]
    graph = same_scale(graph, result, source)
    return changed(
        graph,
        "requantize_1",
        input_zero_point=graph.nodes[0].arithmetic.output_zero_point,
        output_zero_point=graph.nodes[0].arithmetic.output_zero_point,
        multiplier=2**30,
        shift=1,
        minimum=low,
        maximum=high,
    )


def test_integer_clamp_folds_into_the_operator_in_front() -> None:
    graph = clamp_chain(-20, 40)
    assert integer_ops(graph) == ["conv2d"]
    arithmetic = legalize_integer(graph).nodes[0].arithmetic
    assert (arithmetic.minimum, arithmetic.maximum) == (-20, 40)
    clamped_before = changed(graph, "conv2d_0", minimum=50, maximum=90)
    assert integer_ops(clamped_before) == ["conv2d"]
    above = legalize_integer(clamped_before).nodes[0].arithmetic
    assert (above.minimum, above.maximum) == (40, 40)


def test_identity_of_integers_goes() -> None:
    assert integer_ops(clamp_chain(-128, 127)) == ["conv2d"]


def test_a_rescale_is_no_clamp() -> None:
    graph = changed(clamp_chain(-20, 40), "requantize_1", multiplier=2**30 + 2**26)
    assert integer_ops(graph) == ["conv2d", "requantize"]


def test_functions_in_a_row_become_one_table() -> None:
    chain = Chain().conv().then("lookup", Lookup("sigmoid"))
    chain.then("requantize", Requantize(0.1, None)).then("lookup", Lookup("hard_swish"))
    assert integer_ops(chain.done()) == ["conv2d", "lookup"]
    rescales = Chain().conv().then("requantize", Requantize()).then("requantize", Requantize(-0.5))
    assert integer_ops(rescales.done()) == ["conv2d", "lookup"]


def test_a_function_with_a_second_reader_stays() -> None:
    chain = Chain().conv().then("lookup", Lookup("sigmoid"))
    first = chain.last
    second = chain.then("requantize", Requantize(0.1, None)).last
    assert integer_ops(chain.graph(first, second)) == ["conv2d", "lookup", "requantize"]


IDENTITIES: dict[str, tuple[str, Any]] = {
    "max_pool_of_one_pixel": ("max_pool2d", MaxPool2d(square(Axis(1)))),
    "average_of_one_pixel": ("average_pool2d", AveragePool2d(square(Axis(1)))),
    "whole_slice": ("slice", axis_slice((1, 5, 5, 5), 3, 0, 5)),
    "single_tile": ("tile", Tile((1, 1, 1, 1))),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_identities_go(name: str) -> None:
    op, attributes = IDENTITIES[name]
    chain = Chain().conv().then(op, attributes).then("softmax", _softmax())
    assert integer_ops(chain.done()) == ["conv2d", "softmax"]


def test_what_is_almost_an_identity_stays() -> None:
    reverse = dataclasses.replace(
        axis_slice((1, 5, 5, 5), 3, 0, 5), begin=(0, 0, 0, 4), strides=(1, 1, 1, -1)
    )
    chain = Chain().conv().then("slice", reverse).then("softmax", _softmax())
    assert integer_ops(chain.done()) == ["conv2d", "slice", "softmax"]
    strided = Chain().conv().then("max_pool2d", MaxPool2d(square(Axis(1, 2))))
    assert integer_ops(strided.done()) == ["conv2d", "max_pool2d"]
    clamped = Chain().conv().then("max_pool2d", MaxPool2d(square(Axis(1)), 0.0, 0.2))
    assert integer_ops(clamped.done()) == ["conv2d", "max_pool2d"]


def float_graph(*steps: tuple[str, Any, list[Any]]) -> Graph:
    tensors = {"x": Tensor("x", SHAPE, "float32")}
    nodes: list[Node] = []
    last = "x"
    for number, (op, attributes, arrays) in enumerate(steps):
        names = [last]
        for position, array in enumerate(arrays):
            named = constant(f"c{number}_{position}", np.asarray(array, np.float32))
            tensors[named.name] = named
            names.insert(0 if position else 1, named.name)
        shape = operators()[op].output_shape(attributes, [tensors[n].shape for n in names])
        last = f"t{number}"
        tensors[last] = Tensor(last, shape, "float32")
        nodes.append(Node(f"n{number}", op, tuple(names), (last,), attributes))
    ports = (Port("x", "x", SHAPE),), (Port("y", last, tensors[last].shape),)
    return Graph(tensors, tuple(nodes), *ports).verify()


RELU = ("requantize", Requantize(0.0, None), [])
MAXIMUM = ("max_pool2d", MaxPool2d(POOL), [])
AVERAGE = ("average_pool2d", counted(), [])
SIGMOID = ("lookup", Lookup("sigmoid"), [])
FLOAT_FOLDS: dict[str, tuple[list[Any], list[str]]] = {
    "pads_merge": ([("pad", UNEVEN, []), ("pad", WIDE, []), SIGMOID], ["pad", "lookup"]),
    "pads_of_other_values_stay": (
        [("pad", UNEVEN, []), ("pad", dataclasses.replace(WIDE, value=0.5), []), SIGMOID],
        ["pad", "pad", "lookup"],
    ),
    "pad_into_average": ([("pad", UNEVEN, []), AVERAGE], ["average_pool2d"]),
    "pad_of_ones_before_average": (
        [("pad", dataclasses.replace(UNEVEN, value=1.0), []), AVERAGE],
        ["pad", "average_pool2d"],
    ),
    "pad_behind_relu_into_maximum": (
        [RELU, ("pad", UNEVEN, []), MAXIMUM],
        ["requantize", "max_pool2d"],
    ),
    "pad_into_maximum_stays": ([("pad", UNEVEN, []), MAXIMUM], ["pad", "max_pool2d"]),
    "add_zero": ([SIGMOID, ("add", Add(), [np.zeros(4)]), SIGMOID], ["lookup", "lookup"]),
    "add_zero_with_clamp": ([SIGMOID, ("add", Add(0.3), [np.zeros(4)])], ["lookup", "add"]),
    "multiply_one": ([SIGMOID, ("mul", Mul(), [np.ones(1)]), SIGMOID], ["lookup", "lookup"]),
    "multiply_one_and_two": (
        [SIGMOID, ("mul", Mul(), [[1, 1, 2, 1]]), SIGMOID],
        ["lookup", "mul", "lookup"],
    ),
    "concat_of_one": ([SIGMOID, ("concat", Concat(3), []), SIGMOID], ["lookup", "lookup"]),
}


@pytest.mark.parametrize("name", FLOAT_FOLDS)
def test_float_folds_keep_the_function(name: str) -> None:
    steps, ops = FLOAT_FOLDS[name]
    graph = float_graph(*steps)
    legal = legalize(graph)
    assert [node.op for node in legal.nodes] == ops
    x = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    before, after = (interpret_float(g, [x])[g.outputs[0].tensor] for g in (graph, legal))
    np.testing.assert_array_equal(after, before)


def test_constant_in_front_of_a_sum_is_neutral_too() -> None:
    graph = float_graph(SIGMOID, ("add", Add(), [np.zeros(4)]), SIGMOID)
    turned: Callable[[Node], Node] = lambda n: dataclasses.replace(n, inputs=n.inputs[::-1])  # noqa: E731
    nodes = tuple(turned(n) if n.op == "add" else n for n in graph.nodes)
    legal = legalize(dataclasses.replace(graph, nodes=nodes).verify())
    assert [node.op for node in legal.nodes] == ["lookup", "lookup"]


def with_constant_branch(graph: Graph, scale: Tensor, offset: Tensor, result: Tensor) -> Graph:
    """The first activation of ``graph`` plus the sum of two constants, seen through a reshape."""
    flat = dataclasses.replace(result, name="flat", shape=(4,))
    total = dataclasses.replace(graph.tensors[graph.nodes[-1].outputs[0]], name="total")
    integers = isinstance(graph, QGraph)
    add = graph.nodes[-1].arithmetic if integers else None
    reshape = operators()["reshape"].arithmetic() if integers else None
    nodes = (
        Node("inner", "add", (scale.name, offset.name), (result.name,), Add(), add),
        Node("view", "reshape", (result.name,), ("flat",), Reshape((4,)), reshape),
        *graph.nodes,
        Node("outer", "add", (graph.nodes[-1].outputs[0], "flat"), ("total",), Add(), add),
    )
    tensors = {t.name: t for t in (*graph.tensors.values(), scale, offset, result, flat, total)}
    return dataclasses.replace(
        graph, nodes=nodes, tensors=tensors, outputs=(Port("y", "total", total.shape),)
    )


def test_nodes_over_constants_become_constants() -> None:
    values = np.linspace(-1, 1, 4, dtype=np.float32)
    graph = with_constant_branch(
        float_graph(SIGMOID),
        constant("scale", values),
        constant("offset", values**2),
        Tensor("inner", (4,), "float32"),
    )
    legal = legalize(graph)
    assert [node.op for node in legal.nodes] == ["lookup", "add"]
    x = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    before, after = (interpret_float(g, [x])[g.outputs[0].tensor] for g in (graph, legal))
    np.testing.assert_array_equal(after, before)


def test_integer_nodes_over_constants_become_constants() -> None:
    chain = Chain().then("add", Add(), constant("c", np.ones(4, np.float32)))
    quantization = chain.graph(chain.last).tensors[chain.last].quantization
    integers = [np.array(v, np.int8) for v in ([-128, 127, 0, 5], [9, -8, 7, 127])]
    named = zip(("scale", "offset"), integers, strict=True)
    scale, offset = (constant(name, v, quantization=quantization) for name, v in named)
    inner = Tensor("inner", (4,), "int8", quantization)
    assert integer_ops(with_constant_branch(chain.done(), scale, offset, inner)) == ["add", "add"]
