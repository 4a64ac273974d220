# SPDX-License-Identifier: Apache-2.0
"""Whole graphs through the numpy references: values, what is kept, memory, bad inputs."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest

from edgekit.arith import INT32_MAX, quantize_multiplier
from edgekit.errors import BadInputError
from edgekit.interpret import interpret, interpret_float
from edgekit.ir import Array, Graph, Node, Port, QGraph, Quantization, Tensor, constant
from edgekit.ops import Case, operators
from edgekit.ops.add import Add
from edgekit.ops.conv2d import Conv2d
from edgekit.ops.mul import Mul
from edgekit.ops.pad import Pad
from edgekit.ops.requantize import Requantize, RequantizeArithmetic
from edgekit.ops.reshape import Reshape, ReshapeArithmetic
from edgekit.ops.transpose import Transpose
from edgekit.window import Axis, Window

KEPT_SCALE = Quantization(0.5, 0)
SAME = RequantizeArithmetic(0, 0, 2**30, 1, -128, 127)
NEGATIVE = RequantizeArithmetic(0, 0, 2**30, 1, -128, 0)


def integers(name: str, shape: tuple[int, ...]) -> Tensor:
    return Tensor(name, shape, "int8", KEPT_SCALE)


def branching() -> QGraph:
    """x -> relu -> flat, x -> not_positive, both outputs: x lives on behind its first reader."""
    shape = (1, 2, 2, 2)
    relu = RequantizeArithmetic(0, 0, 2**30, 1, 0, 127)
    nodes = (
        Node("relu", "requantize", ("x",), ("positive",), Requantize(), relu),
        Node("flatten", "reshape", ("positive",), ("flat",), Reshape((1, 8)), ReshapeArithmetic()),
        Node("clip", "requantize", ("x",), ("not_positive",), Requantize(), NEGATIVE),
    )
    tensors = [*(integers(n, shape) for n in ("x", "positive", "not_positive"))]
    tensors.append(integers("flat", (1, 8)))
    outputs = (Port("second", "not_positive", shape), Port("first", "flat", (1, 8)))
    return QGraph(
        {tensor.name: tensor for tensor in tensors}, nodes, (Port("x", "x", shape),), outputs
    ).verify()


X = np.array([-128, -3, -1, 0, 1, 2, 64, 127], np.int8).reshape(1, 2, 2, 2)


def test_all_activations_are_returned_by_name() -> None:
    arrays = interpret(branching(), [X])
    assert sorted(arrays) == ["flat", "not_positive", "positive", "x"]
    assert arrays["x"].tobytes() == X.tobytes()
    assert arrays["flat"].tolist() == [[0, 0, 0, 0, 1, 2, 64, 127]]
    assert arrays["not_positive"].reshape(-1).tolist() == [-128, -3, -1, 0, 0, 0, 0, 0]


def test_outputs_only_are_the_same_arrays_in_port_order() -> None:
    arrays, outputs = interpret(branching(), [X]), interpret(branching(), [X], outputs_only=True)
    assert list(outputs) == ["not_positive", "flat"]
    for name, array in outputs.items():
        assert array.tobytes() == arrays[name].tobytes()


def test_an_output_may_be_an_input_or_a_constant() -> None:
    x, table = integers("x", (1, 3)), constant("c", np.array([1, 2], np.int8))
    graph = QGraph(
        {"x": x, "c": table},
        (),
        (Port("x", "x", (1, 3)),),
        (Port("same", "x", (1, 3)), Port("table", "c", (2,))),
    ).verify()
    for outputs_only in (False, True):
        arrays = interpret(graph, [np.array([[7, 8, 9]], np.int8)], outputs_only=outputs_only)
        assert {name: array.tolist() for name, array in arrays.items()} == {
            "x": [[7, 8, 9]],
            "c": [1, 2],
        }


def chain(length: int, shape: tuple[int, ...]) -> QGraph:
    names = [f"t{i}" for i in range(length + 1)]
    nodes = tuple(
        Node(f"n{i}", "requantize", (names[i],), (names[i + 1],), Requantize(), SAME)
        for i in range(length)
    )
    return QGraph(
        {name: integers(name, shape) for name in names},
        nodes,
        (Port("in", names[0], shape),),
        (Port("out", names[-1], shape),),
    ).verify()


def peak_bytes(graph: QGraph, x: Array, *, outputs_only: bool) -> int:
    tracemalloc.start()
    try:
        interpret(graph, [x], outputs_only=outputs_only)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_dead_arrays_are_freed_when_only_outputs_are_kept() -> None:
    """100 maps of 32 KiB: the peak must be the arithmetic of one node, not the whole chain."""
    shape = (1, 32, 32, 32)
    short, long = chain(2, shape), chain(100, shape)
    x = np.zeros(shape, np.int8)
    one_node_bytes = peak_bytes(short, x, outputs_only=True)
    assert peak_bytes(long, x, outputs_only=True) < one_node_bytes + 2 * x.nbytes
    assert peak_bytes(long, x, outputs_only=False) > one_node_bytes + 90 * x.nbytes


@pytest.mark.parametrize(
    ("inputs", "fact"),
    [
        ([], "0 arrays for 1 inputs"),
        ([X, X], "2 arrays for 1 inputs"),
        ([X[0]], r"int8 \(2, 2, 2\); give int8 \(1, 2, 2, 2\)"),
        ([X.astype(np.float32)], "float32"),
        ([X.astype(np.uint8)], "uint8"),
    ],
)
def test_wrong_inputs_are_refused(inputs: Sequence[Array], fact: str) -> None:
    with pytest.raises(BadInputError, match=fact):
        interpret(branching(), inputs)


def float_graph() -> Graph:
    """((pad(x) conv w) * k + k) clipped, transposed to (1, C, H, W)."""
    weights = np.arange(8, dtype=np.float32).reshape(2, 2, 1, 2) - 3.0
    window = Window(Axis(2), Axis(1))
    tensors = [
        Tensor("x", (1, 2, 3, 2), "float32"),
        Tensor("padded", (1, 3, 3, 2), "float32"),
        constant("w", weights),
        Tensor("sums", (1, 2, 3, 2), "float32"),
        constant("k", np.array([0.5, -2.0], np.float32)),
        Tensor("scaled", (1, 2, 3, 2), "float32"),
        Tensor("shifted", (1, 2, 3, 2), "float32"),
        Tensor("clipped", (1, 2, 3, 2), "float32"),
        Tensor("y", (1, 2, 2, 3), "float32"),
    ]
    nodes = (
        Node("pad", "pad", ("x",), ("padded",), Pad((0, 0, 0, 0), (0, 1, 0, 0))),
        Node("conv", "conv2d", ("padded", "w"), ("sums",), Conv2d(window)),
        Node("mul", "mul", ("sums", "k"), ("scaled",), Mul()),
        Node("add", "add", ("k", "scaled"), ("shifted",), Add(activation_min=-10.0)),
        Node("clip", "requantize", ("shifted",), ("clipped",), Requantize(maximum=6.0)),
        Node("nchw", "transpose", ("clipped",), ("y",), Transpose((0, 3, 1, 2))),
    )
    return Graph(
        {tensor.name: tensor for tensor in tensors},
        nodes,
        (Port("x", "x", (1, 2, 3, 2)),),
        (Port("y", "y", (1, 2, 2, 3)),),
    ).verify()


def test_float_graph_computes_what_numpy_says() -> None:
    graph = float_graph()
    x = np.arange(12, dtype=np.float32).reshape(1, 2, 3, 2) - 5.0
    weights, factors = graph.tensors["w"].data, graph.tensors["k"].data
    assert weights is not None and factors is not None
    below = np.concatenate([x[0, 1:], np.zeros((1, 3, 2), np.float32)])
    sums = x[0] @ weights[:, 0, 0].T + below @ weights[:, 1, 0].T
    expected = np.clip(sums * factors + factors, -10.0, 6.0).transpose(2, 0, 1)[None]
    result = interpret_float(graph, [x], outputs_only=True)
    assert list(result) == ["y"]
    assert result["y"].dtype == np.float32
    assert result["y"].tolist() == expected.tolist()  # small integers and halves: exact


CASES = [
    pytest.param(case, id=f"{name}-{case.name}")
    for name, operator in operators().items()
    for case in operator.cases()
]


@pytest.mark.parametrize("case", CASES)
def test_every_case_runs_and_follows_its_shape_rule(case: Case) -> None:
    (call,) = case.graph.calls()
    operator = operators()[call.node.op]
    shapes = [tensor.shape for tensor in call.inputs]
    assert operator.output_shape(call.node.attributes, shapes) == call.output.shape
    random = np.random.default_rng(0)
    tensors = [case.graph.tensors[port.tensor] for port in case.graph.inputs]
    noise = tuple(random.integers(-128, 128, t.shape).astype(t.dtype) for t in tensors)
    for inputs in (*case.inputs, noise):
        interpret(case.graph, inputs)  # shapes and types of the results are checked inside


OUTPUT = Quantization(0.05, -2)
SHAPE = (1, 4, 4, 8)


def float_call(op: str, constant_position: int | None) -> tuple[Graph, list[Array]]:
    """A node over seeded operands that their scales represent exactly, and those of its inputs."""
    random = np.random.default_rng(3)
    tensors, arrays = [], []
    scales = [Quantization(0.031, -7), Quantization(0.012, 19)]
    for position, scale in enumerate(scales[: 1 if op == "requantize" else 2]):
        steps = random.integers(-128, 128, SHAPE) - scale.zero_point
        real = (scale.scale * steps).astype(np.float32)
        if position == constant_position:
            tensors.append(constant(f"c{position}", real))
        else:
            tensors.append(Tensor(f"x{position}", SHAPE, "float32", scale))
            arrays.append(real)
    y = Tensor("y", SHAPE, "float32", OUTPUT)
    attributes = operators()[op].attributes(-3.0, 3.5)
    node = Node(op, op, tuple(tensor.name for tensor in tensors), ("y",), attributes)
    ports = tuple(Port(t.name, t.name, t.shape) for t in tensors if not t.is_constant)
    outputs = (Port("y", "y", SHAPE),)
    return Graph({t.name: t for t in (*tensors, y)}, (node,), ports, outputs), arrays


def quantized(graph: Graph) -> QGraph:
    """The integer model of a float model of one node whose activations have scales."""
    (call,) = graph.calls()
    result = operators()[call.node.op].quantize(call)
    tensors = [
        result.constants.get(i, dataclasses.replace(tensor, dtype="int8"))
        for i, tensor in enumerate(call.inputs)
    ]
    tensors.append(dataclasses.replace(call.output, dtype="int8"))
    node = dataclasses.replace(call.node, arithmetic=result.arithmetic)
    return QGraph({t.name: t for t in tensors}, (node,), graph.inputs, graph.outputs).verify()


def to_integers(real: Array, quantization: Quantization | None) -> Array:
    assert quantization is not None
    integers_of: Array = np.rint(real / quantization.scale) + quantization.zero_point
    return integers_of.astype(np.int8)


@pytest.mark.parametrize(
    ("op", "constant_position"),
    [(op, position) for op in ("add", "mul") for position in (None, 0, 1)] + [("requantize", None)],
)
def test_quantized_elementwise_follows_the_float_definition(
    op: str, constant_position: int | None
) -> None:
    """Within half an output step of rounding, 1% of it for fixed point, and the constant's own."""
    graph, arrays = float_call(op, constant_position)
    integer_graph = quantized(graph)
    expected = interpret_float(graph, arrays)["y"].astype(np.float64)
    operands = [
        to_integers(real, integer_graph.tensors[port.tensor].quantization)
        for real, port in zip(arrays, graph.inputs, strict=True)
    ]
    got = interpret(integer_graph, operands)["y"].astype(np.float64)
    tolerance = 0.51 * OUTPUT.scale
    for tensor in integer_graph.tensors.values():
        if tensor.is_constant:
            assert tensor.quantization is not None
            other = np.abs(arrays[0]).max() if op == "mul" else 1.0
            tolerance += 0.51 * tensor.quantization.scale * float(other)
    assert np.abs(OUTPUT.scale * (got - OUTPUT.zero_point) - expected).max() <= tolerance


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (0.0, (0, 0)),
        (0.5, (2**30, 0)),
        (1.0, (2**30, 1)),
        (1.0 - 2.0**-40, (2**30, 1)),  # rounds up to the next power of two
        (2.0**-33, (0, 0)),
        (2.0**40, (INT32_MAX, 30)),
    ],
)
def test_multiplier_of_a_factor(factor: float, expected: tuple[int, int]) -> None:
    assert quantize_multiplier(factor) == expected
