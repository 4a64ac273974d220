# SPDX-License-Identifier: Apache-2.0
"""float32 TFLite models: the geometry of every int8 case, in floats, against TFLite's interpreter."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tflite_cases import cases
from support.tflite_oracle import require_runtime
from support.tflite_writer import ModelSpec, OperatorSpec, TensorSpec, write_tflite

import edgekit
from edgekit.converters.from_tflite import import_tflite
from edgekit.converters.legalize import legalize
from edgekit.errors import BadInputError, UnsupportedError
from edgekit.interpret import interpret_float
from edgekit.ir import Array, Graph, QGraph

TOLERANCE = 1e-4  # float32 sums in another order, relative to the largest output
ONLY_INTEGERS = ("QUANTIZE", "DEQUANTIZE")


def as_float(spec: ModelSpec) -> ModelSpec | None:
    """An int8 model with the same operators on float32; None where it has other types."""
    if any(operator.name in ONLY_INTEGERS for operator in spec.operators):
        return None
    if any(tensor.type not in ("INT8", "INT32", "INT64") for tensor in spec.tensors):
        return None
    return dataclasses.replace(spec, tensors=[_float_tensor(tensor) for tensor in spec.tensors])


def _float_tensor(tensor: TensorSpec) -> TensorSpec:
    if tensor.scale is None:
        return tensor
    data = None
    if tensor.data is not None:
        shape = [-1 if i == tensor.axis else 1 for i in range(np.ndim(tensor.data))]
        scale, zero_point = (
            np.reshape(v, shape) if np.ndim(v) else v for v in (tensor.scale, tensor.zero_point)
        )
        data = ((tensor.data.astype(np.float64) - zero_point) * scale).astype(np.float32)
    return dataclasses.replace(tensor, type="FLOAT32", data=data, scale=None, zero_point=0)


FLOAT_CASES = {name: spec for name, case in cases().items() if (spec := as_float(case)) is not None}


def run_source(data: bytes, inputs: list[Array]) -> list[Array]:
    """TFLite's reference kernels on floats."""
    runtime = require_runtime()
    resolver = runtime.OpResolverType.BUILTIN_REF
    interpreter: Any = runtime.Interpreter(
        model_content=data, experimental_op_resolver_type=resolver
    )
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


def noise(graph: Graph) -> list[Array]:
    random = np.random.default_rng(4)
    shapes = [graph.tensors[port.tensor].shape for port in graph.inputs]
    return [random.standard_normal(shape).astype(np.float32) for shape in shapes]


def assert_same(graph: Graph, data: bytes) -> None:
    inputs = noise(graph)
    expected = run_source(data, inputs)
    for candidate in (graph, legalize(graph)):
        results = interpret_float(candidate, inputs)
        for port, wanted in zip(candidate.outputs, expected, strict=True):
            bound = TOLERANCE * max(1.0, float(np.abs(wanted).max()))
            result = results[port.tensor].reshape(wanted.shape)
            np.testing.assert_allclose(result, wanted, rtol=0, atol=bound)


@pytest.mark.parametrize("name", FLOAT_CASES)
def test_operator(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(write_tflite(FLOAT_CASES[name]))
    graph = import_tflite(path)
    assert not isinstance(graph, QGraph)
    assert_same(graph, path.read_bytes())


def test_network_is_the_float_network(shared_model: Callable[[str], Path]) -> None:
    path = shared_model("vww_96_float")
    assert_same(import_tflite(path), path.read_bytes())


def test_network_with_int8_weights_is_close(shared_model: Callable[[str], Path]) -> None:
    """TFLite rounds the activations in front of int8 weights; the graph has the weights alone."""
    path = shared_model("kws_float")
    graph = import_tflite(path)
    inputs = noise(graph)
    (expected,) = run_source(path.read_bytes(), inputs)
    (port,) = graph.outputs
    assert np.abs(interpret_float(graph, inputs)[port.tensor] - expected).max() < 0.02


def test_converted_network_is_exact_and_close(shared_model: Callable[[str], Path]) -> None:
    path = shared_model("kws_float")
    random = np.random.default_rng(0)
    samples = [random.standard_normal((4, 49, 10, 1)).astype(np.float32)]
    artifact = edgekit.convert(path, calibration=samples, target="cortex-m4")
    report = artifact.validate(on=("host",), samples=3).assert_ok()
    assert [rung.name for rung in report.rungs] == ["reference", "host"]
    assert report.float is not None and report.float.cosine is not None
    assert report.float.cosine > 0.99


def test_types_that_do_not_mix_are_refused(tmp_path: Path) -> None:
    tensors = [
        TensorSpec("x", (1, 4), type="FLOAT32"),
        TensorSpec("i", (1, 4), type="INT32"),
        TensorSpec("y", (1, 4), type="FLOAT32"),
    ]
    operators = [OperatorSpec("ADD", ["x", "i"], ["y"], {"FusedActivationFunction": 0})]
    path = tmp_path / "model.tflite"
    path.write_bytes(write_tflite(ModelSpec(tensors, operators, ["x", "i"], ["y"])))
    with pytest.raises(UnsupportedError, match="is INT32 in a float model"):
        import_tflite(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(value: float, tmp_path: Path) -> None:
    spec = FLOAT_CASES["conv_relu"]
    tensors = [
        dataclasses.replace(t, data=np.full_like(t.data, value)) if t.name == "weights" else t
        for t in spec.tensors
    ]
    path = tmp_path / "model.tflite"
    path.write_bytes(write_tflite(dataclasses.replace(spec, tensors=tensors)))
    with pytest.raises(BadInputError, match="NaN or Inf"):
        import_tflite(path)
