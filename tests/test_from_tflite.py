# SPDX-License-Identifier: Apache-2.0
"""What an imported TFLite model looks like: ports, names, nodes, constants, the boundary."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tflite_cases import cases, convolution, reshape
from support.tflite_oracle import count_mismatches, seeded_inputs
from support.tflite_writer import (
    ModelSpec,
    OperatorSpec,
    TensorSpec,
    constant_spec,
    write_tflite,
)

from edgekit.converters.from_tflite import import_tflite
from edgekit.errors import UnsupportedError
from edgekit.interpret import interpret
from edgekit.ir import QGraph, Quantization

CASES = cases()


def imported(model: ModelSpec, folder: Path) -> QGraph:
    path = folder / "model.tflite"
    path.write_bytes(write_tflite(model))
    return import_tflite(path)


def bounded(
    outer: str, *, input_zero_point: int = 0, output_zero_point: int = 0, scale: float = 0.05
) -> ModelSpec:
    """outer -> QUANTIZE -> RELU -> DEQUANTIZE or QUANTIZE -> outer."""
    last = "DEQUANTIZE" if outer == "FLOAT32" else "QUANTIZE"
    scales = None if outer == "FLOAT32" else scale
    return ModelSpec(
        [
            TensorSpec("image", (1, 4, 4, 3), scales, input_zero_point, type=outer),
            TensorSpec("image_int8", (1, 4, 4, 3), 0.05, -10),
            TensorSpec("relu", (1, 4, 4, 3), 0.04, -5),
            TensorSpec("result", (1, 4, 4, 3), 0.04 if scales else None, output_zero_point, outer),
        ],
        [
            OperatorSpec("QUANTIZE", ["image"], ["image_int8"]),
            OperatorSpec("RELU", ["image_int8"], ["relu"]),
            OperatorSpec(last, ["relu"], ["result"]),
        ],
        ["image"],
        ["result"],
    )


def test_convolution_becomes_a_node_with_its_source_and_constants(tmp_path: Path) -> None:
    graph = imported(CASES["conv_relu"], tmp_path)
    (node,) = graph.nodes
    assert (node.op, node.name, node.source) == ("conv2d", "conv2d_0", "y")
    assert node.inputs == ("x", "weights", "bias")
    assert graph.tensors["weights"].quantization is None
    assert graph.tensors["bias"].dtype == "int32"
    assert graph.tensors["y"].quantization == Quantization(float(np.float32(0.11)), 5)
    assert (node.arithmetic.minimum, node.arithmetic.maximum) == (5, 127)
    assert graph.inputs[0].source_shape == (1, 7, 6, 3)
    assert (graph.inputs[0].layout, graph.name) == ("NHWC", "model")


def test_constant_operand_keeps_its_quantization(tmp_path: Path) -> None:
    graph = imported(CASES["add_constant_channels"], tmp_path)
    assert graph.tensors["b"].quantization == Quantization(float(np.float32(0.021)), -8)
    assert graph.tensors["b"].shape == (6,)


def test_vector_ports_have_no_layout(tmp_path: Path) -> None:
    graph = imported(CASES["fully_connected_none"], tmp_path)
    assert [port.layout for port in (*graph.inputs, *graph.outputs)] == ["", ""]


def test_convolution_without_bias_equals_a_bias_of_zeros(tmp_path: Path) -> None:
    common: Any = {"input_shape": (5, 5, 3), "kernel": (3, 3), "outputs": 4}
    without = imported(convolution("CONV_2D", **common, with_bias=False), tmp_path)
    model = convolution("CONV_2D", **common)
    zeros = constant_spec("bias", np.zeros(4, np.int32), scale=0.0002)
    tensors = [zeros if tensor.name == "bias" else tensor for tensor in model.tensors]
    with_zeros = imported(dataclasses.replace(model, tensors=tensors), tmp_path)
    assert len(without.nodes[0].inputs) == 2
    for inputs in seeded_inputs(without, samples=3):
        assert (interpret(without, inputs)["y"] == interpret(with_zeros, inputs)["y"]).all()


def test_missing_bias_index_is_no_bias(tmp_path: Path) -> None:
    model = CASES["fully_connected_without_bias"]
    operator = dataclasses.replace(model.operators[0], inputs=["x", "weights", ""])
    graph = imported(dataclasses.replace(model, operators=[operator]), tmp_path)
    assert graph.nodes[0].inputs == ("x", "weights")


@pytest.mark.parametrize(
    "model",
    [
        bounded("FLOAT32"),
        bounded("UINT8", input_zero_point=118, output_zero_point=123),
    ],
    ids=["float32", "uint8"],
)
def test_outer_quantize_and_dequantize_become_the_int8_boundary(
    model: ModelSpec, tmp_path: Path
) -> None:
    graph = imported(model, tmp_path)
    assert [node.op for node in graph.nodes] == ["requantize"]
    assert [(port.name, port.tensor) for port in graph.inputs] == [("image", "image_int8")]
    assert [(port.name, port.tensor) for port in graph.outputs] == [("result", "relu")]
    assert set(graph.tensors) == {"image_int8", "relu"}
    samples = seeded_inputs(graph, samples=4)
    different, compared = count_mismatches(write_tflite(model), graph, samples)
    assert (different, compared) == (0, 4 * 48)


def test_input_that_is_quantized_twice_is_one_tensor(tmp_path: Path) -> None:
    tensors = [
        TensorSpec("x", (1, 6), type="FLOAT32"),
        TensorSpec("a", (1, 6), 0.05, 1),
        TensorSpec("b", (1, 6), 0.05, 1),
        TensorSpec("y", (1, 6), 0.1, 1),
    ]
    operators = [
        OperatorSpec("QUANTIZE", ["x"], ["a"]),
        OperatorSpec("QUANTIZE", ["x"], ["b"]),
        OperatorSpec("ADD", ["a", "b"], ["y"]),
    ]
    graph = imported(ModelSpec(tensors, operators, ["x"], ["y"]), tmp_path)
    assert graph.nodes[0].inputs == ("a", "a")
    other = [*tensors[:2], TensorSpec("b", (1, 6), 0.06, 1), tensors[3]]
    with pytest.raises(UnsupportedError, match="tensor 'x' is FLOAT32"):
        imported(ModelSpec(other, operators, ["x"], ["y"]), tmp_path)


def test_quantize_inside_the_model_is_a_requantize(tmp_path: Path) -> None:
    graph = imported(CASES["quantize_narrower"], tmp_path)
    assert [node.op for node in graph.nodes] == ["requantize"]
    assert graph.nodes[0].arithmetic.minimum == -128


def _chain(shapes: Sequence[tuple[int, ...]], operators: Sequence[OperatorSpec]) -> ModelSpec:
    tensors = [TensorSpec(f"t{i}", shape, 0.05, 2) for i, shape in enumerate(shapes)]
    constants = [
        constant_spec("nchw", np.array([0, 3, 1, 2], np.int32)),
        constant_spec("axis_3", np.array([3], np.int32)),
        constant_spec("axis_2", np.array(2, np.int32)),
    ]
    return ModelSpec([*tensors, *constants], operators, ["t0"], [f"t{len(shapes) - 1}"])


def test_successive_means_keep_both_roundings(tmp_path: Path) -> None:
    model = _chain(
        [(1, 3, 5, 40), (1, 40, 3, 5), (1, 40, 3), (1, 40)],
        [
            OperatorSpec("TRANSPOSE", ["t0", "nchw"], ["t1"]),
            OperatorSpec("MEAN", ["t1", "axis_3"], ["t2"]),
            OperatorSpec("MEAN", ["t2", "axis_2"], ["t3"]),
        ],
    )
    graph = imported(model, tmp_path)
    assert [node.op for node in graph.nodes] == ["transpose", "mean", "mean"]
    samples = seeded_inputs(graph, samples=6)
    different, compared = count_mismatches(write_tflite(model), graph, samples)
    assert (different, compared) == (0, 240)


def test_operators_that_nothing_reads_are_dropped(tmp_path: Path) -> None:
    model = _chain(
        [(1, 6), (1, 6), (1, 6)],
        [OperatorSpec("RELU", ["t0"], ["t1"]), OperatorSpec("RELU6", ["t0"], ["t2"])],
    )
    graph = imported(model, tmp_path)
    assert [node.source for node in graph.nodes] == ["t2"]
    assert set(graph.tensors) == {"t0", "t2"}


def test_equal_and_unprintable_names_become_unique_lines(tmp_path: Path) -> None:
    data = write_tflite(CASES["relu_same_scale"])
    for name in (b"x", b"y"):
        assert data.count(b"\1\0\0\0" + name + b"\0") == 1
        data = data.replace(b"\1\0\0\0" + name + b"\0", b"\1\0\0\0\n\0")
    path = tmp_path / "model.tflite"
    path.write_bytes(data)
    graph = import_tflite(path)
    assert sorted(graph.tensors) == ["?", "?_1"]
    assert graph.nodes[0].source == "?"


def test_ports_are_named_by_the_signature(tmp_path: Path) -> None:
    model = dataclasses.replace(CASES["relu_tie"], signature={"image": "x", "score": "y"})
    graph = imported(model, tmp_path)
    assert (graph.inputs[0].name, graph.outputs[0].name) == ("image", "score")
    assert graph.outputs[0].tensor == "y"


def test_dynamic_batch_is_one(tmp_path: Path) -> None:
    model = reshape("RESHAPE", (1, 3, 4, 2), (1, 24))
    tensors = [
        dataclasses.replace(tensor, signature=(-1, *tensor.shape[1:]))
        if tensor.data is None
        else tensor
        for tensor in model.tensors
    ]
    graph = imported(dataclasses.replace(model, tensors=tensors), tmp_path)
    assert graph.inputs[0].source_shape == (1, 3, 4, 2)


def test_same_file_gives_the_same_graph(tmp_path: Path) -> None:
    first, second = (imported(CASES["conv_dilated"], tmp_path) for _ in range(2))
    assert first.nodes == second.nodes
    assert list(first.tensors) == list(second.tensors)


def test_several_ports_keep_their_order(tmp_path: Path) -> None:
    x = [TensorSpec(name, (1, 4), 0.05, 0) for name in ("b", "a")]
    y = [TensorSpec(name, (1, 4), 0.05, 0) for name in ("d", "c")]
    operators = [OperatorSpec("RELU", ["a"], ["c"]), OperatorSpec("RELU", ["b"], ["d"])]
    graph = imported(ModelSpec([*x, *y], operators, ["b", "a"], ["d", "c"]), tmp_path)
    assert [port.name for port in graph.inputs] == ["b", "a"]
    assert [port.name for port in graph.outputs] == ["d", "c"]
