# SPDX-License-Identifier: Apache-2.0
"""NCHW models run in NHWC: no transpose at run time where the boundary or a rule can take it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tflite_cases import convolution
from support.tflite_oracle import Oracle, seeded_inputs
from support.tflite_writer import ModelSpec, OperatorSpec, TensorSpec, constant_spec, write_tflite

import edgekit
from edgekit.converters.from_tflite import import_tflite
from edgekit.converters.legalize import legalize_integer
from edgekit.inputs import load_inputs
from edgekit.interpret import interpret
from edgekit.ir import QGraph

TO_NHWC, TO_NCHW = [0, 2, 3, 1], [0, 3, 1, 2]
KIND: dict[str, Any] = {"scale": 0.04, "zero_point": -3}


def _order(name: str, axes: list[int]) -> TensorSpec:
    return constant_spec(name, np.array(axes, np.int32))


def _nchw(*, padded_first: bool = False, twice: bool = False) -> ModelSpec:
    """A convolution behind an NCHW input; perhaps padded in NCHW, or read through two transposes."""
    inner = convolution("CONV_2D", input_shape=(7, 6, 3), kernel=(3, 3), outputs=5)
    weights = [tensor for tensor in inner.tensors if tensor.data is not None]
    tensors = [
        TensorSpec("image", (1, 3, 5, 6) if padded_first else (1, 3, 7, 6), **KIND),
        _order("order", TO_NHWC),
        constant_spec("pads", np.array([[0, 0], [0, 0], [1, 1], [0, 0]], np.int32)),
        TensorSpec("padded", (1, 3, 7, 6), **KIND),
        *(tensor for tensor in inner.tensors if tensor.data is None),
        *weights,
        TensorSpec("again", (1, 7, 6, 3), **KIND),
        TensorSpec("mean", (1, 3), **KIND),
        constant_spec("axes", np.array([1, 2], np.int32)),
    ]
    operators = [OperatorSpec("TRANSPOSE", ["padded" if padded_first else "image", "order"], ["x"])]
    if padded_first:
        operators.insert(0, OperatorSpec("PAD", ["image", "pads"], ["padded"]))
    operators += inner.operators
    if twice:
        operators.append(OperatorSpec("TRANSPOSE", ["image", "order"], ["again"]))
        operators.append(OperatorSpec("MEAN", ["again", "axes"], ["mean"], {"KeepDims": False}))
    outputs = ["y", "mean"] if twice else ["y"]
    used = {name for op in operators for name in (*op.inputs, *op.outputs)}
    return ModelSpec([t for t in tensors if t.name in used], operators, ["image"], outputs)


def _imported(model: ModelSpec, folder: Path) -> tuple[bytes, QGraph, QGraph, Path]:
    path = folder / "model.tflite"
    path.write_bytes(write_tflite(model))
    graph = import_tflite(path)
    return path.read_bytes(), graph, legalize_integer(graph), path


def _assert_equal_to_source(data: bytes, graph: QGraph, legal: QGraph) -> None:
    oracle = Oracle(data)
    for inputs in seeded_inputs(graph, samples=4):
        turned = [
            x.transpose(0, 2, 3, 1) if port.layout == "NCHW" else x
            for port, x in zip(legal.inputs, inputs, strict=True)
        ]
        ours = interpret(legal, turned, outputs_only=True)
        for port, theirs in zip(legal.outputs, oracle.run(graph, inputs), strict=True):
            assert np.array_equal(ours[port.tensor], theirs)


def _ops(graph: QGraph) -> list[str]:
    return [node.op for node in graph.nodes]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["conv2d"]),
        ({"padded_first": True}, ["pad", "conv2d"]),
        ({"twice": True}, ["conv2d", "mean"]),
    ],
)
def test_nchw_input_without_run_time_transpose(
    options: dict[str, bool], expected: list[str], tmp_path: Path
) -> None:
    model = _nchw(**options)
    data, graph, legal, _ = _imported(model, tmp_path)
    assert "transpose" in _ops(graph)
    assert [op for op in _ops(legal) if op != "pad"] == [op for op in expected if op != "pad"]
    port = legal.inputs[0]
    assert port.layout == "NCHW"
    assert port.source_shape == tuple(model.tensors[0].shape)
    n, c, h, w = port.source_shape
    assert legal.tensors[port.tensor].shape == (n, h, w, c)
    _assert_equal_to_source(data, graph, legal)


def test_manifest_and_inputs_know_the_source_layout(tmp_path: Path) -> None:
    data, graph, _, path = _imported(_nchw(), tmp_path)
    artifact = edgekit.convert(path, target="cortex-m4")
    entry = artifact.manifest.inputs[0]
    assert (entry.layout, entry.source_shape, entry.shape) == ("NCHW", (1, 3, 7, 6), (1, 7, 6, 3))
    assert all(layer.op != "transpose" for layer in artifact.manifest.layers)
    report = artifact.validate(on=("host", "qemu"))
    assert [rung.name for rung in report.rungs] == ["reference", "source", "host", "qemu"]
    assert report.all_equal
    inputs = seeded_inputs(graph, samples=3)
    np.save(tmp_path / "x.npy", np.concatenate([sample[0] for sample in inputs]))
    loaded = load_inputs(tmp_path / "x.npy", artifact.manifest).samples
    oracle = Oracle(data)
    for (nchw,), (nhwc,) in zip(inputs, loaded, strict=True):
        assert np.array_equal(nhwc, nchw.transpose(0, 2, 3, 1))
        assert np.array_equal(artifact.run(nchw), oracle.run(graph, (nchw,))[0])


def test_input_that_is_nhwc_stays(tmp_path: Path) -> None:
    model = convolution("CONV_2D", input_shape=(7, 6, 3), kernel=(3, 3), outputs=5)
    _, _, legal, _ = _imported(model, tmp_path)
    assert legal.inputs[0].layout == "NHWC"


def test_output_in_nchw_is_transposed_at_the_end(tmp_path: Path) -> None:
    inner = convolution("CONV_2D", input_shape=(7, 6, 3), kernel=(3, 3), outputs=5)
    y = next(tensor for tensor in inner.tensors if tensor.name == "y")
    turned = TensorSpec("z", (1, 5, 7, 6), y.scale, y.zero_point)
    operators = [*inner.operators, OperatorSpec("TRANSPOSE", ["y", "order"], ["z"])]
    tensors = [*inner.tensors, _order("order", TO_NCHW), turned]
    data, graph, legal, _ = _imported(ModelSpec(tensors, operators, ["x"], ["z"]), tmp_path)
    assert _ops(legal) == ["conv2d", "transpose"]
    assert legal.outputs[0].source_shape == (1, 5, 7, 6)
    _assert_equal_to_source(data, graph, legal)


def _between(
    name: str, operands: list[TensorSpec], result: tuple[int, ...], options: Any = None
) -> ModelSpec:
    """An operator in NCHW between two transposes: NHWC -> NCHW -> operator -> NHWC."""
    back = (result[0], *result[2:], result[1])
    tensors = [
        TensorSpec("x", (1, 4, 5, 6), **KIND),
        _order("out", TO_NCHW),
        _order("in", TO_NHWC),
        TensorSpec("t", (1, 6, 4, 5), **KIND),
        *operands,
        TensorSpec("m", result, **KIND),
        TensorSpec("y", back, **KIND),
    ]
    inputs = ["t", *(operand.name for operand in operands)]
    if name == "CONCATENATION":
        inputs = ["t", "t"]
    operators = [
        OperatorSpec("TRANSPOSE", ["x", "out"], ["t"]),
        OperatorSpec(name, inputs, ["m"], options or {}),
        OperatorSpec("TRANSPOSE", ["m", "in"], ["y"]),
    ]
    return ModelSpec(tensors, operators, ["x"], ["y"])


def _integers(name: str, values: Any) -> TensorSpec:
    return constant_spec(name, np.array(values, np.int32))


def _vector(channels: int) -> TensorSpec:
    """One number per channel of an NCHW map."""
    values = np.arange(-3, channels - 3).astype(np.int8).reshape(channels, 1, 1)
    return constant_spec("v", values, **KIND)


NO_ACTIVATION = {"FusedActivationFunction": 0, "PotScaleInt16": False}
BETWEEN: dict[str, tuple[ModelSpec, list[str]]] = {
    "pad": (
        _between("PAD", [_integers("p", [[0, 0], [1, 0], [2, 1], [0, 3]])], (1, 7, 7, 8)),
        ["pad"],
    ),
    "slice": (
        _between(
            "SLICE", [_integers("b", [0, 1, 0, 2]), _integers("s", [1, 4, 3, 2])], (1, 4, 3, 2)
        ),
        ["slice"],
    ),
    "concatenation": (_between("CONCATENATION", [], (1, 12, 4, 5), {"Axis": 1}), ["concat"]),
    "difference": (_between("SUB", [_vector(6)], (1, 6, 4, 5), NO_ACTIVATION), ["sub"]),
    "maximum": (_between("MAXIMUM", [_vector(6)], (1, 6, 4, 5)), ["maximum"]),
    "prelu": (_between("PRELU", [_vector(6)], (1, 6, 4, 5)), ["prelu"]),
    "relu6": (_between("RELU6", [], (1, 6, 4, 5)), ["requantize"]),
    "mean": (
        _between("MEAN", [_integers("a", [2, 3])], (1, 6, 1, 1), {"KeepDims": True}),
        ["mean"],
    ),
}


@pytest.mark.parametrize("name", BETWEEN)
def test_transposes_around_an_operator_cancel(name: str, tmp_path: Path) -> None:
    model, expected = BETWEEN[name]
    data, graph, legal, _ = _imported(model, tmp_path)
    assert _ops(legal) == expected
    assert legal.inputs[0].layout == "NHWC"
    _assert_equal_to_source(data, graph, legal)


def test_two_means_in_nchw_keep_both_roundings(tmp_path: Path) -> None:
    """As in MCUNet's files: over W, then over H, each with a scale of its own."""
    tensors = [
        TensorSpec("x", (1, 5, 4, 6), 0.05, -9),
        _order("order", TO_NCHW),
        TensorSpec("t", (1, 6, 5, 4), 0.05, -9),
        _integers("three", [3]),
        TensorSpec("m", (1, 6, 5), 0.031, 4),
        _integers("two", [2]),
        TensorSpec("y", (1, 6), 0.023, -11),
    ]
    operators = [
        OperatorSpec("TRANSPOSE", ["x", "order"], ["t"]),
        OperatorSpec("MEAN", ["t", "three"], ["m"], {"KeepDims": False}),
        OperatorSpec("MEAN", ["m", "two"], ["y"], {"KeepDims": False}),
    ]
    data, graph, legal, _ = _imported(ModelSpec(tensors, operators, ["x"], ["y"]), tmp_path)
    reductions = [node for node in legal.nodes if node.op != "reshape"]
    assert [(node.op, node.attributes.axes) for node in reductions] == [
        ("mean", (2,)),
        ("mean", (1,)),
    ]
    _assert_equal_to_source(data, graph, legal)


def test_chain_of_moves_of_which_none_is_needed(tmp_path: Path) -> None:
    """Channels split and joined again by two transposes between reshapes."""
    tensors = [
        TensorSpec("x", (1, 4, 5, 6), **KIND),
        _order("out", TO_NCHW),
        TensorSpec("t", (1, 6, 4, 5), **KIND),
        _integers("flat", [1, 6, 20]),
        TensorSpec("f", (1, 6, 20), **KIND),
        _order("swap", [0, 2, 1]),
        TensorSpec("y", (1, 20, 6), **KIND),
    ]
    operators = [
        OperatorSpec("TRANSPOSE", ["x", "out"], ["t"]),
        OperatorSpec("RESHAPE", ["t", "flat"], ["f"]),
        OperatorSpec("TRANSPOSE", ["f", "swap"], ["y"]),
    ]
    data, graph, legal, _ = _imported(ModelSpec(tensors, operators, ["x"], ["y"]), tmp_path)
    assert _ops(legal) == ["reshape"]
    _assert_equal_to_source(data, graph, legal)
