# SPDX-License-Identifier: Apache-2.0
"""Several inputs and outputs, end to end: what one model may return, and names that C cannot have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tflite_cases_movement import model_of
from support.tflite_oracle import Oracle, seeded_inputs
from support.tflite_writer import ModelSpec, OperatorSpec, TensorSpec, constant_spec, write_tflite

import edgekit
from edgekit.converters.from_tflite import import_tflite

KINDS: dict[str, Any] = {"scale": 0.05, "zero_point": -9}


def _map(name: str, shape: tuple[int, ...] = (1, 3, 4, 2), **fields: Any) -> TensorSpec:
    return TensorSpec(name, shape, **{**KINDS, **fields})


def every_kind_of_port() -> ModelSpec:
    """Three inputs, one never used, and seven outputs.

    An output that another node reads, the same tensor twice, two parts of one operator, indices, a
    constant of int8 and one of int32. All names collide, or are no C identifiers.
    """
    constant = np.arange(-6, 6).astype(np.int8).reshape(1, 12)
    tensors = [
        _map("in"),
        _map("in:0"),
        _map("unused; return */"),
        _map("Out", scale=0.11),
        _map("out", (1, 3, 4, 1), scale=0.11),
        _map("out\n", (1, 3, 4, 1), scale=0.11),
        TensorSpec("int", (1, 3, 4), type="INT64"),
        constant_spec("axis", np.array(3, np.int32)),
        constant_spec("const", constant, scale=0.5, zero_point=3),
        constant_spec("anchors", np.array([1, -(2**31), 2**31 - 1], np.int32)),
    ]
    operators = [
        OperatorSpec("ADD", ["in", "in:0"], ["Out"]),
        OperatorSpec("SPLIT", ["axis", "Out"], ["out", "out\n"], {"NumSplits": 2}),
        OperatorSpec("ARG_MAX", ["Out", "axis"], ["int"], {"OutputType": 4}),
    ]
    outputs = ["Out", "out", "out\n", "Out", "int", "const", "anchors"]
    return ModelSpec(tensors, operators, ["in", "in:0", "unused; return */"], outputs)


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ports") / "ports.tflite"
    path.write_bytes(write_tflite(every_kind_of_port()))
    return path


def test_import_keeps_all_ports(model_path: Path) -> None:
    graph = import_tflite(model_path)
    assert [graph.tensors[port.tensor].shape for port in graph.inputs] == [(1, 3, 4, 2)] * 3
    assert len(graph.outputs) == 7
    assert graph.outputs[0].tensor == graph.outputs[3].tensor
    types = [graph.tensors[port.tensor].dtype for port in graph.outputs]
    assert types == ["int8", "int8", "int8", "int8", "int32", "int8", "int32"]
    names = [port.name for port in (*graph.inputs, *graph.outputs)]
    assert len({port.name for port in graph.outputs}) == 7, names


def test_manifest_has_distinct_identifiers(model_path: Path) -> None:
    manifest = edgekit.convert(model_path, target="host").manifest
    names = [entry.name for entry in (*manifest.inputs, *manifest.outputs)]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and name.islower() for name in names)


def test_every_output_equals_the_source_on_the_host(model_path: Path) -> None:
    report = edgekit.convert(model_path, target="host").validate()
    assert [rung.name for rung in report.rungs] == ["reference", "source", "host"]
    assert report.all_equal


def test_outputs_are_those_of_the_interpreter(model_path: Path) -> None:
    graph = import_tflite(model_path)
    artifact = edgekit.convert(model_path, target="host")
    oracle = Oracle(model_path.read_bytes())
    for inputs in seeded_inputs(graph, samples=4):
        ours = artifact.run(*inputs)
        for mine, theirs in zip(ours, oracle.run(graph, inputs), strict=True):
            assert np.array_equal(mine, theirs)


@pytest.mark.parametrize("target", ["cortex-m4"])
def test_every_output_is_equal_on_the_emulated_core(model_path: Path, target: str) -> None:
    report = edgekit.convert(model_path, target=target).validate(on=("host", "qemu"))
    assert [rung.name for rung in report.rungs][-2:] == ["host", "qemu"]
    assert report.all_equal


def test_output_that_is_wholly_constant(tmp_path: Path) -> None:
    """A model may return nothing that depends on its input."""
    values = np.array([[5, -7]], np.int8)
    model = model_of("RELU", [_map("x")], [_map("y")])
    constant = constant_spec("c", values, scale=0.1)
    path = tmp_path / "model.tflite"
    changed = ModelSpec([*model.tensors, constant], model.operators, ["x"], ["c"])
    path.write_bytes(write_tflite(changed))
    artifact = edgekit.convert(path, target="host")
    artifact.validate().assert_ok()
    assert np.array_equal(artifact.run(np.zeros((1, 3, 4, 2), np.int8)), values)


def test_pytorch_module_with_two_inputs_and_five_outputs() -> None:
    """A tensor that is also read, twice the same, a view of it, a parameter, and indices."""
    torch = pytest.importorskip("torch", reason="PyTorch is missing; pip install 'edgekit[torch]'")

    class Ports(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 4, 1)
            self.anchors = torch.nn.Parameter(torch.linspace(-1, 2, 24).reshape(1, 2, 3, 4))

        def forward(self, image: Any, output: Any, unused: Any) -> Any:
            y = self.conv(image) * output
            return y, torch.relu(y).flatten(1), y, self.anchors, y.argmax(1)

    torch.manual_seed(1)
    inputs = (torch.randn(1, 3, 5, 6), torch.randn(1, 4, 1, 1), torch.randn(1, 2))
    module = Ports().eval()
    artifact = edgekit.convert(module, inputs, calibration=[inputs], target="cortex-m4")
    assert len(artifact.manifest.inputs) == 3
    assert len({entry.name for entry in artifact.manifest.outputs}) == 5
    assert artifact.validate(on=("host", "qemu")).all_equal
    results = artifact.run(*inputs)
    with torch.no_grad():
        expected = [value.numpy() for value in module(*inputs)]
    for entry, mine, theirs in zip(artifact.manifest.outputs, results, expected, strict=True):
        wanted = theirs.transpose(0, 2, 3, 1) if entry.layout == "NCHW" else theirs
        assert mine.shape == wanted.shape
        if entry.dtype == "int8":
            assert np.abs(mine - wanted).max() < 4 * entry.scale
