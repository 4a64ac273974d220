# SPDX-License-Identifier: Apache-2.0
"""EdgekitQuantizer in torchao's PT2E flow: what it annotates converts whole, and PyTorch agrees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")
pytest.importorskip("torchao", reason="torchao is missing; run: pip install 'edgekit[pt2e]'")

from support import torch_models, torch_quantized  # noqa: E402
from support.torch_models import noise  # noqa: E402
from support.torch_zoo import ZOO  # noqa: E402
from torch import nn  # noqa: E402

import edgekit  # noqa: E402
from edgekit.converters.from_torch import (  # noqa: E402
    import_pt2,
    import_torch_module,
    read_exported_program,
)
from edgekit.errors import BadInputError, UnsupportedError  # noqa: E402
from edgekit.interpret import interpret  # noqa: E402
from edgekit.ir import Graph  # noqa: E402

functional = nn.functional


def quantizes(program: Any) -> dict[str, tuple[Any, ...]]:
    """Scale, zero point, range and type of every activation that is quantized."""
    name = "quantized_decomposed.quantize_per_tensor.default"
    return {
        node.args[0].name: tuple(node.args[1:])
        for node in program.graph.nodes
        if str(node.target) == name
    }


def inverted_residuals() -> Any:
    """MobileNetV2 in small: ReLU6, depthwise and linear layers, with and without a residual."""
    stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
    blocks = [
        torch_models.InvertedResidual(8, 8, stride=1, expansion=4),
        torch_models.InvertedResidual(8, 12, stride=2, expansion=4),
    ]
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5))
    return torch_models.randomize(nn.Sequential(stem, *blocks, head)), (noise(1, 3, 20, 20),)


NETWORKS: dict[str, Callable[[], Any]] = {
    "resnet8": torch_models.resnet8,
    "inverted_residuals": inverted_residuals,
    "shuffle_net_v2": ZOO["shuffle_net_v2"],
    "unet_transposed": ZOO["unet_transposed"],
}


@pytest.mark.parametrize("name", NETWORKS)
def test_network_converts_and_torch_agrees(name: str) -> None:
    """The C is the reference, ==; of each layer, PyTorch's integers are at most one step away."""
    program = torch_quantized.program(*NETWORKS[name]())
    artifact = edgekit.convert(program, target="cortex-m4", schedule="layerwise")
    rungs = {rung.name: rung for rung in artifact.validate(on=("host",), samples=6).rungs}
    assert rungs["host"].equal
    layers = rungs["source"].layers
    assert layers is not None and layers.elements > 1000
    assert layers.max_abs_diff <= 1
    assert layers.mismatches - layers.explained <= 0.005 * layers.elements


class Everything(nn.Module):
    """One of each kind: what keeps its scale, what has a fixed one, what is taken up."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.up = nn.ConvTranspose2d(16, 4, 2, stride=2)
        self.head = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu6(self.norm(self.stem(x)))
        y = functional.hardswish(self.depthwise(x))
        y = y * torch.sigmoid(y.mean((2, 3), keepdim=True)) + x * 0.5
        left, right = functional.max_pool2d(y, 2).chunk(2, dim=1)
        z = torch.cat([left, torch.tanh(right), functional.avg_pool2d(x, 2)], dim=1)
        z = functional.leaky_relu(self.up(z), 0.1)
        return torch.softmax(self.head(z.mean((2, 3))), dim=1)


def everything() -> Any:
    return torch_models.randomize(Everything()), (noise(1, 3, 8, 8),)


def test_scales_are_those_of_the_operators() -> None:
    module, inputs = everything()
    program = torch_quantized.program(module, inputs)
    found = quantizes(program)
    assert all(entry[2:] == (-128, 127, torch.int8) for entry in found.values())
    assert "conv2d" not in found and "relu6" in found  # batch norm and ReLU6 are taken up
    scales = {name: entry[:2] for name, entry in found.items()}
    assert scales["sigmoid"] == scales["softmax"] == (1 / 256, -128)
    assert scales["tanh"] == (1 / 128, 0)
    assert scales["max_pool2d"] == scales["getitem"] == scales["add"]
    assert scales["avg_pool2d"] == scales["relu6"] == scales["cat"]
    assert scales["mean"] != scales["hardswish"]


def test_everything_converts() -> None:
    module, inputs = everything()
    program = torch_quantized.program(module, inputs)
    artifact = edgekit.convert(program, target="cortex-m4")
    rungs = {r.name: r for r in artifact.validate(on=("host",), samples=6).assert_ok().rungs}
    assert rungs["source"].layers.max_abs_diff <= 1


def test_weights_and_biases() -> None:
    """Symmetric weights per output channel, also of a transposed convolution; biases int32."""
    program = torch_quantized.program(*everything())
    placeholders = {n.name: n for n in program.graph.nodes if n.op == "placeholder"}
    kinds = []
    for node in program.graph.nodes:
        if str(node.target) == "quantized_decomposed.dequantize_per_channel.default":
            shape = placeholders[node.args[0].name].meta["val"].shape
            kinds.append((tuple(shape), *node.args[3:]))
    int8, int32 = (-127, 127, torch.int8), (-(2**31), 2**31 - 1, torch.int32)
    assert sorted(kinds, key=str) == sorted(
        [
            ((8, 3, 3, 3), 0, *int8),
            ((8,), 0, *int32),
            ((8, 1, 3, 3), 0, *int8),
            ((16, 4, 2, 2), 1, *int8),
            ((4,), 0, *int32),
            ((5, 4), 0, *int8),
            ((5,), 0, *int32),
        ],
        key=str,
    )


def test_biases_are_the_integers_of_the_program() -> None:
    """Their scale is that of the sums, so nothing is rounded a second time."""
    program = torch_quantized.program(*everything())
    state = (*program.state_dict.values(), *program.constants.values())
    biases = sorted(v.tolist() for v in state if v.dtype == torch.int32)
    graph = read_exported_program(program).graph
    found = [t.data.tolist() for t in graph.tensors.values() if t.dtype == "int32"]
    assert len(biases) == 3
    assert [bias for bias in sorted(found) if any(bias)] == biases


def test_pt2_file_is_the_module(tmp_path: Path) -> None:
    module, inputs = torch_models.ds_cnn()
    model = torch_quantized.quantized(module, inputs)
    torch.export.save(torch.export.export(model, inputs), tmp_path / "net.pt2")
    assert_same_integers(import_torch_module(model, inputs), import_pt2(tmp_path / "net.pt2"))


def test_weights_that_stay_float() -> None:
    """``fold_quantize=False``: quantize is still in the graph, and computed at import."""
    module, inputs = torch_models.ds_cnn()
    folded = import_torch_module(torch_quantized.quantized(module, inputs), inputs)
    model = torch_quantized.quantized(module, inputs, fold_quantize=False)
    assert_same_integers(folded, import_torch_module(model, inputs))


def assert_same_integers(one: Graph, other: Graph) -> None:
    for left, right in zip(one.calls(), other.calls(), strict=True):
        assert (left.node.op, left.node.arithmetic) == (right.node.op, right.node.arithmetic)
        for a, b in zip(left.inputs, right.inputs, strict=True):
            assert a.quantization == b.quantization
            if a.data is not None:
                np.testing.assert_array_equal(a.data, b.data)


@pytest.mark.parametrize("method", ["minmax", "histogram"])
def test_accuracy_is_that_of_int8(method: str) -> None:
    """Against the float network on noise that calibration did not see: 8 bits leave 20 dB."""
    module, inputs = torch_models.ds_cnn()
    quantizer = edgekit.EdgekitQuantizer(method)
    graph = import_torch_module(torch_quantized.quantized(module, inputs, quantizer), inputs)
    source, result = (graph.tensors[p.tensor] for p in (graph.inputs[0], graph.outputs[0]))
    expected, found = [], []
    for seed in range(100, 108):
        x = noise(*inputs[0].shape, seed=seed)
        with torch.no_grad():
            expected.append(module(x).numpy())
        levels = np.rint(x.numpy() / source.quantization.scale) + source.quantization.zero_point
        levels = np.clip(levels, -128, 127).astype(np.int8).transpose(0, 2, 3, 1)
        steps = interpret(graph, [levels])[result.name].astype(np.float64)
        found.append((steps - result.quantization.zero_point) * result.quantization.scale)
    errors = np.square(np.subtract(expected, found)).sum()
    assert 10 * np.log10(np.square(expected).sum() / errors) > 20


def test_what_has_no_operator_stays_float_and_is_refused_by_name() -> None:
    class Sorted(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(torch.cumsum(torch.relu(x), dim=1))

    model = torch_quantized.quantized(Sorted(), (noise(1, 8),))
    with pytest.raises(UnsupportedError, match="cumsum"):
        import_torch_module(model, (noise(1, 8),))


def test_unknown_method_is_refused() -> None:
    with pytest.raises(BadInputError, match="use histogram or minmax"):
        edgekit.EdgekitQuantizer("entropy")


def test_a_prepared_model_is_refused() -> None:
    module, inputs = torch_models.ds_cnn()
    prepared = torch_quantized.prepared(module, inputs)
    with pytest.raises(BadInputError, match="call convert_pt2e first"):
        import_torch_module(prepared, inputs)


def test_training() -> None:
    """A few steps of quantization-aware training, batches of four, then int8 at batch 1."""
    layers = (nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3))
    module = torch_models.randomize(nn.Sequential(*layers))
    images, labels = noise(4, 1, 8, 8), torch.tensor([0, 1, 2, 0])
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(module.train(), (images,), dynamic_shapes=({0: batch},))
    quantizer = edgekit.EdgekitQuantizer.for_training()
    model = torch_quantized.flow().prepare_qat_pt2e(exported.module(), quantizer)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    losses = []
    for _ in range(6):
        loss = functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    model = torch_quantized.flow().convert_pt2e(model)
    artifact = edgekit.convert(model, (images[:1],), target="cortex-m4")
    rungs = {r.name: r for r in artifact.validate(on=("host",), samples=6).assert_ok().rungs}
    assert rungs["source"].layers.elements > 0
    with torch.no_grad():
        expected = model(images[:1]).numpy()
    step = artifact.manifest.outputs[0].scale
    assert np.abs(artifact.run(images[:1]) - expected).max() <= 2.01 * step  # a step per layer


def test_batch_norm_in_training_belongs_to_its_convolution() -> None:
    """PyTorch folds the two itself, so only the ends are quantized; whole flow: 40 seconds."""
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.BatchNorm2d(4))
    model = torch.export.export(module.train(), (noise(4, 1, 8, 8),)).module()
    edgekit.EdgekitQuantizer.for_training().annotate(model)
    found = {
        node.target._schema.name.removeprefix("aten::"): node.meta["quantization_annotation"]
        for node in reversed(model.graph.nodes)
        if node.op == "call_function" and "quantization_annotation" in node.meta
    }
    conv, norm, relu = (found[name] for name in ("conv2d", "batch_norm", "relu"))
    assert len(conv.input_qspec_map) == 2 and conv.output_qspec is None  # input and weights
    assert not norm.input_qspec_map and norm.output_qspec is None
    assert not relu.input_qspec_map and relu.output_qspec is not None
