# SPDX-License-Identifier: Apache-2.0
"""Integer models as QDQ .onnx files, and onnxruntime on them: layer by layer, and as a whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.arith import round_half_away
from edgekit.converters.legalize import legalize
from edgekit.converters.quantize.options import QuantizeOptions
from edgekit.converters.quantize.real import dequantized, quantized_sample
from edgekit.converters.quantize.recipe import quantize_model
from edgekit.converters.samples import noise_samples
from edgekit.converters.to_onnx import to_onnx
from edgekit.errors import UnsupportedError
from edgekit.interpret import interpret
from edgekit.ir import Array, Port, QGraph
from edgekit.ops import operators

torch = pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")
onnx = pytest.importorskip("onnx", reason="onnx is missing; run: pip install 'edgekit[onnx]'")
onnxruntime = pytest.importorskip(
    "onnxruntime", reason="onnxruntime is missing; run: pip install onnxruntime"
)

from support import torch_models  # noqa: E402
from torch import nn  # noqa: E402

from edgekit.converters.from_torch import import_torch_module  # noqa: E402

MOST_DIFFERENT = 0.005
"""Of the elements of a layer. onnxruntime rounds once, halves to even, by a float32 factor; edgekit
rounds the product with the 31-bit multiplier, then the shift by e bits: that differs where the exact
value lies within 2^-(e + 1) of a half, and e is 7 to 9 in these layers."""


def quantized(module: Any, example: Any, samples: int = 8) -> QGraph:
    graph = legalize(import_torch_module(module.eval(), example))
    return quantize_model(graph, noise_samples(graph, samples, 0), QuantizeOptions()).graph


def onnx_outputs(graph: QGraph, inputs: Sequence[Array]) -> list[Array]:
    """What onnxruntime computes of integers, as integers, NHWC."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        to_onnx(graph), options, providers=["CPUExecutionProvider"]
    )
    feeds = {}
    for port, array in zip(graph.inputs, inputs, strict=True):
        real = dequantized(array, graph.tensors[port.tensor])
        feeds[port.name] = real.transpose(0, 3, 1, 2) if port.layout == "NCHW" else real
    results = []
    for port, value in zip(graph.outputs, session.run(None, feeds), strict=True):
        quantization = graph.tensors[port.tensor].quantization
        array = value.transpose(0, 2, 3, 1) if port.layout == "NCHW" else value
        if quantization is not None:
            steps = round_half_away(array.astype(np.float64) / quantization.scale)
            array = (steps + quantization.zero_point).astype(np.int64)
        results.append(array)
    return results


def layers(graph: QGraph) -> list[QGraph]:
    """Every layer as a model of its own."""
    found = []
    for node in graph.nodes:
        call = graph.call(node)
        tensors = {t.name: t for t in (*call.inputs, *call.outputs)}
        activations = {t.name: t for t in call.activations}
        ports = tuple(_port(name, t.shape, "in_") for name, t in activations.items())
        outputs = (_port(call.output.name, call.output.shape, "out_"),)
        found.append(QGraph(tensors, (node,), ports, outputs, name=node.name).verify())
    return found


def _port(name: str, shape: Any, prefix: str) -> Port:
    return Port(f"{prefix}{name}", name, shape, "NHWC" if len(shape) == 4 else "")


def differences(graph: QGraph, seed: int = 5) -> dict[str, list[tuple[str, int, float]]]:
    """By operator: name, largest difference, and share of different elements of each layer."""
    sample = noise_samples_of(graph, seed)
    ours = interpret(graph, sample)
    found: dict[str, list[tuple[str, int, float]]] = {}
    for layer in layers(graph):
        inputs = [ours[port.tensor] for port in layer.inputs]
        (result,) = onnx_outputs(layer, inputs)
        difference = np.abs(result.astype(np.int64) - ours[layer.outputs[0].tensor])
        entry = (layer.name, int(difference.max()), float((difference > 0).mean()))
        found.setdefault(layer.nodes[0].op, []).append(entry)
    return found


def noise_samples_of(graph: QGraph, seed: int) -> tuple[Array, ...]:
    ports = [graph.tensors[port.tensor] for port in graph.inputs]
    random = np.random.default_rng(seed)
    return quantized_sample(
        [random.standard_normal(t.shape).astype(np.float32) for t in ports], ports
    )


MODELS = {
    "ds_cnn": torch_models.ds_cnn,
    "resnet8": torch_models.resnet8,
    "mobilenet_v2": lambda: torch_models.mobilenet_v2(width=0.35, resolution=96),
}


@pytest.mark.parametrize("name", MODELS)
def test_layers_differ_by_single_steps_on_few_elements(name: str) -> None:
    graph = quantized(*MODELS[name]())
    elements = sum(node_elements(graph))
    different = 0.0
    for entries in differences(graph).values():
        for layer, most, share in entries:
            assert most <= 1, layer
            different += share * graph.tensors[_output(graph, layer)].elements
    assert different <= MOST_DIFFERENT * elements


def node_elements(graph: QGraph) -> list[int]:
    return [call.output.elements for call in graph.calls()]


def _output(graph: QGraph, name: str) -> str:
    return next(node.outputs[0] for node in graph.nodes if node.name == name)


@pytest.mark.parametrize("name", MODELS)
def test_the_file_gives_the_same_integers_back(name: str, tmp_path: Path) -> None:
    from edgekit.converters.from_onnx import import_onnx
    from edgekit.converters.legalize import legalize_integer
    from edgekit.converters.to_tflite import compare

    graph = quantized(*MODELS[name]())
    path = tmp_path / "model.onnx"
    path.write_bytes(to_onnx(graph))
    again = import_onnx(path).graph
    assert isinstance(again, QGraph)
    assert compare(legalize_integer(graph), legalize_integer(again)) == []


class Moving(nn.Module):
    """What moves or compares elements only: the same integers, all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, 2, padding=1)

    def forward(self, x: torch.Tensor) -> Any:
        y = torch.nn.functional.pad(self.pool(x), (1, 2, 0, 1), value=0.5)
        y = torch.cat([y, y], dim=2)[:, 1:, ::2]
        z = torch.nn.functional.interpolate(y, scale_factor=2, mode="nearest")
        return (
            z.permute(0, 2, 3, 1).flatten(1),
            torch.nn.functional.pixel_shuffle(x, 2),
            y.argmax(1),
        )


class Mixed(nn.Module):
    """A transposed and a grouped convolution, means, sums of maps and vectors, functions."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(4, 8, 3, stride=2, padding=1, output_padding=1)
        self.grouped = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=2)
        self.pool = nn.AvgPool2d(3, 2, padding=1)
        self.score = nn.Linear(24, 3)
        self.slope = nn.PReLU(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.slope(self.grouped(torch.nn.functional.relu6(self.up(x))))
        y = torch.sigmoid(x.mean((2, 3), keepdim=True)) * x - torch.ones(8, 1, 1) / 3
        y = torch.nn.functional.silu(self.pool(y))
        return torch.log_softmax(self.score(y.mean(3).flatten(1)), 1)


def test_moved_integers_are_the_same() -> None:
    graph = quantized(Moving(), torch.zeros(1, 4, 9, 10))
    for seed in range(3):
        sample = noise_samples_of(graph, seed)
        ours = interpret(graph, sample)
        for port, result in zip(graph.outputs, onnx_outputs(graph, sample), strict=True):
            np.testing.assert_array_equal(result, ours[port.tensor])


def test_other_operators_differ_by_single_steps() -> None:
    torch.manual_seed(0)
    graph = quantized(Mixed(), torch.zeros(1, 4, 6, 6))
    found = differences(graph)
    assert {"transposed_conv2d", "prelu", "mean", "lookup", "log_softmax"} <= set(found)
    for entries in found.values():
        for layer, most, _ in entries:
            assert most <= 1, layer


def test_the_same_bytes_twice() -> None:
    assert to_onnx(quantized(*torch_models.ds_cnn())) == to_onnx(quantized(*torch_models.ds_cnn()))


def test_what_has_no_form_is_listed() -> None:
    class Functions(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.gelu(torch.nn.functional.mish(x) + 1.0)

    with pytest.raises(UnsupportedError) as caught:
        to_onnx(quantized(Functions(), torch.zeros(1, 4, 5, 5)))
    assert len(caught.value.lines) == 2
    assert all("ONNX has no form of it" in line for line in caught.value.lines)


def test_every_operator_has_a_form_or_is_known_to_have_none() -> None:
    from edgekit.converters.export.onnx_forms import FORMS

    without = {
        "batch_matmul",
        "block_conv2d",
        "fixed_point_sigmoid",
        "l2_normalization",
        "layer_normalization",
        "leaky_relu",
        "resize_bilinear",
        "squared_difference",
        "tile",
    }
    assert set(operators()) - set(FORMS) == without


def test_command_writes_the_file(tmp_path: Path) -> None:
    from edgekit.cli.app import run
    from edgekit.converters.to_tflite import to_tflite

    graph = quantized(*torch_models.ds_cnn())
    model, output = tmp_path / "model.tflite", tmp_path / "model.onnx"
    model.write_bytes(to_tflite(graph))
    assert run(["quantize", str(model), "-o", str(output)]) == 0
    onnx.checker.check_model(onnx.load(output))


def test_a_clamp_inside_the_range_is_kept() -> None:
    graph = quantized(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()), torch.zeros(1, 3, 5, 5))
    (node,) = graph.nodes
    clamped = dataclasses.replace(node.arithmetic, minimum=-60, maximum=40)
    nodes = (dataclasses.replace(node, arithmetic=clamped),)
    graph = dataclasses.replace(graph, nodes=nodes).verify()
    sample = noise_samples_of(graph, 0)
    (result,) = onnx_outputs(graph, sample)
    assert result.min() == -60
    assert result.max() <= 40
