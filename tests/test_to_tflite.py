# SPDX-License-Identifier: Apache-2.0
"""Integer models as .tflite files: the same integers when read back, and in TFLite's own kernels."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tflite_oracle import count_mismatches, seeded_inputs

from edgekit.cli.app import run
from edgekit.converters.from_tflite import import_tflite
from edgekit.converters.legalize import legalize, legalize_integer
from edgekit.converters.quantize.options import METHODS, QuantizeOptions
from edgekit.converters.quantize.recipe import quantize_model
from edgekit.converters.samples import noise_samples
from edgekit.converters.to_tflite import compare, to_tflite
from edgekit.errors import UnsupportedError
from edgekit.interpret import interpret
from edgekit.ir import QGraph
from edgekit.ops import operators

torch = pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")

from support import torch_models  # noqa: E402
from torch import nn  # noqa: E402

from edgekit.converters.from_torch import import_torch_module  # noqa: E402


def quantized(
    module: Any, example: Any, options: QuantizeOptions | None = None, samples: int = 4
) -> QGraph:
    graph = legalize(import_torch_module(module.eval(), example))
    inputs = noise_samples(graph, samples, 0)
    return quantize_model(graph, inputs, options or QuantizeOptions()).graph


def read_back(data: bytes, folder: Path) -> QGraph:
    path = folder / "model.tflite"
    path.write_bytes(data)
    return import_tflite(path)


def check(graph: QGraph, folder: Path) -> None:
    """The file gives the same layers back, and TFLite's reference kernels the same outputs."""
    data = to_tflite(graph)
    again = read_back(data, folder)
    assert compare(legalize_integer(graph), legalize_integer(again)) == []
    assert data == to_tflite(graph)
    inputs = seeded_inputs(graph, samples=4)
    different, compared = count_mismatches(data, again, inputs)
    assert (different, compared > 0) == (0, True)
    for sample in inputs:
        ours, theirs = (interpret(g, sample, outputs_only=True) for g in (graph, again))
        for port, other in zip(graph.outputs, again.outputs, strict=True):
            np.testing.assert_array_equal(ours[port.tensor], theirs[other.tensor])


@pytest.mark.parametrize("method", METHODS)
def test_networks_of_every_method(method: Any, tmp_path: Path) -> None:
    check(quantized(*torch_models.ds_cnn(), QuantizeOptions(method=method)), tmp_path)


def test_residual_network(tmp_path: Path) -> None:
    check(quantized(*torch_models.resnet8()), tmp_path)


def test_inverted_bottlenecks(tmp_path: Path) -> None:
    check(quantized(*torch_models.mobilenet_v2(width=0.35, resolution=64)), tmp_path)


class Joined(nn.Module):
    """Branches that are concatenated, padding that TFLite cannot fuse, one output channel."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(4, 5, 3, stride=2, padding=1)
        self.right = nn.Conv2d(4, 3, 1, stride=2)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.score = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([torch.relu(self.left(x)), self.right(x)], dim=1)
        x = self.pool(torch.nn.functional.relu6(self.up(x)))
        x = x * torch.sigmoid(torch.ones(1)) - 0.25
        return self.score(x.mean((2, 3)))


class Several(nn.Module):
    """Differences and products of maps, a softmax, a resize; two outputs."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        z = torch.nn.functional.interpolate(x * y - y, scale_factor=2, mode="nearest")
        return torch.softmax(z.mean((2, 3)), dim=1), z[:, :, 1:, ::2]


def test_other_operators(tmp_path: Path) -> None:
    torch.manual_seed(0)
    check(quantized(Joined(), torch.zeros(1, 4, 9, 9)), tmp_path)
    maps = (torch.zeros(1, 4, 5, 6), torch.zeros(1, 4, 5, 6))
    check(quantized(Several(), maps), tmp_path)


def test_what_has_no_exact_form_is_listed() -> None:
    class Activations(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.mish(torch.nn.functional.silu(x) + 1.0)

    with pytest.raises(UnsupportedError) as caught:
        to_tflite(quantized(Activations(), torch.zeros(1, 4, 5, 5)))
    assert len(caught.value.lines) == 2
    assert all("TFLite has no exact form" in line for line in caught.value.lines)
    assert "silu" in caught.value.lines[0]


def test_other_rounding_of_an_operator_is_noticed() -> None:
    """The scale of a hidden multiplier that no file can state."""
    graph = quantized(*torch_models.ds_cnn())
    node = next(node for node in graph.nodes if node.op == "fully_connected")
    multipliers = tuple(m ^ 1 for m in node.arithmetic.multipliers)
    arithmetic = dataclasses.replace(node.arithmetic, multipliers=multipliers)
    changed = dataclasses.replace(node, arithmetic=arithmetic)
    nodes = [changed if n is node else n for n in graph.nodes]
    with pytest.raises(UnsupportedError, match=r"fully_connected.*no float32 scale"):
        to_tflite(graph.with_nodes(nodes, graph.tensors.values()))


def test_zero_points_that_a_layer_does_not_share_are_noticed() -> None:
    graph = quantized(*torch_models.resnet8())
    node = next(node for node in graph.nodes if node.op == "add")
    arithmetic = dataclasses.replace(node.arithmetic, output_multiplier=2**30)
    changed = dataclasses.replace(node, arithmetic=arithmetic)
    nodes = [changed if n is node else n for n in graph.nodes]
    with pytest.raises(UnsupportedError, match=r"add.*rounds otherwise"):
        to_tflite(graph.with_nodes(nodes, graph.tensors.values()))


def test_every_operator_has_a_form_or_is_known_to_have_none() -> None:
    from edgekit.converters.export.tflite_forms import FORMS

    without = {
        "batch_matmul",
        "block_conv2d",
        "fixed_point_sigmoid",
        "layer_normalization",
        "leaky_relu",
    }
    int16_only = {"fixed_point_sigmoid", "leaky_relu"}
    assert int16_only < without
    assert set(operators()) - set(FORMS) == without


def test_command_writes_a_file_that_converts(tmp_path: Path) -> None:
    network = tmp_path / "network.py"
    network.write_text(
        "import torch\n"
        "def network():\n"
        "    torch.manual_seed(0)\n"
        "    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())\n"
        "    return net, torch.zeros(1, 3, 6, 6)\n",
        encoding="utf-8",
    )
    data = tmp_path / "data.npy"
    np.save(data, np.random.default_rng(0).standard_normal((5, 3, 6, 6)).astype(np.float32))
    model, output = f"{network}:network", tmp_path / "out.tflite"
    arguments = ["quantize", model, "--calib", str(data), "-o", str(output), "--method", "mse"]
    assert run(arguments) == 0
    first = output.read_bytes()
    assert run(arguments) == 0
    assert output.read_bytes() == first
    assert import_tflite(output).nodes[0].op == "conv2d"
    assert run(["quantize", str(output), "-o", str(tmp_path / "again.tflite")]) == 0


@pytest.mark.parametrize(
    ("extra", "code", "message"),
    [
        (["--method", "best"], 2, "use minmax or"),
        (["--scheme", "w4a8"], 2, "use int8"),
        (["--rounding", "up"], 2, "use nearest or learned"),
        (["-o", "out.bin"], 2, "must end in .tflite"),
        (["--config", "absent.toml"], 2, "cannot be read"),
    ],
)
def test_command_refuses(
    extra: list[str], code: int, message: str, tmp_path: Path, capsys: Any
) -> None:
    graph = quantized(*torch_models.ds_cnn())
    model = tmp_path / "model.tflite"
    model.write_bytes(to_tflite(graph))
    arguments = ["quantize", str(model), "-o", str(tmp_path / "out.tflite"), *extra]
    assert run(arguments) == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.tflite").exists()


def test_float_models_need_calibration_data(tmp_path: Path, capsys: Any) -> None:
    network = tmp_path / "network.py"
    network.write_text(
        "import torch\ndef network():\n    return torch.nn.ReLU(), torch.zeros(1, 3, 6, 6)\n",
        encoding="utf-8",
    )
    output = tmp_path / "out.tflite"
    assert run(["quantize", f"{network}:network", "-o", str(output)]) == 2
    assert "--calib" in capsys.readouterr().err
