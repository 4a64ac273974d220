# SPDX-License-Identifier: Apache-2.0
"""PyTorch import: operators give what PyTorch computes, and what cannot be mapped is listed."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")

from support import torch_models  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from edgekit.converters.from_torch import (  # noqa: E402
    import_pt2,
    import_torch_function,
    import_torch_module,
)
from edgekit.converters.legalize import legalize  # noqa: E402
from edgekit.errors import BadInputError, UnsupportedError  # noqa: E402
from edgekit.interpret import interpret_float  # noqa: E402
from edgekit.ir import Graph  # noqa: E402

# Both sides round float32 sums of up to a few thousand products, in another order; errors grow
# through up to 53 layers, so this is relative to the largest output: 2^-24 * sqrt(1e3) * 53 = 1e-4.
TOLERANCE = 1e-4


class Function(nn.Module):
    """A module around one function, with a convolution in front so that layouts matter."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.function = function
        self.vector = nn.Parameter(torch.linspace(-1.5, 2.0, 8).reshape(1, 8, 1, 1))
        self.narrow = nn.Parameter(torch.linspace(0.5, 2.0, 8).reshape(8, 1, 1))
        self.matrix = nn.Parameter(torch.linspace(-1, 1, 5 * 336).reshape(5, 336))
        self.columns = nn.Parameter(torch.linspace(-1, 1, 7 * 4).reshape(4, 7))

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self, self.stem(x))


def float_outputs(graph: Graph, inputs: tuple[torch.Tensor, ...]) -> list[np.ndarray[Any, Any]]:
    """The outputs of a float graph in PyTorch's order of axes."""
    arrays = []
    for port, value in zip(graph.inputs, inputs, strict=True):
        array = value.numpy()
        arrays.append(array.transpose(0, 2, 3, 1) if port.layout == "NCHW" else array)
    results = interpret_float(graph, arrays)
    outputs = []
    for port in graph.outputs:
        result = results[port.tensor]
        outputs.append(result.transpose(0, 3, 1, 2) if port.layout == "NCHW" else result)
        assert outputs[-1].shape == port.source_shape
    return outputs


def assert_same_function(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> Graph:
    """Import, legalize, and compare both graphs with PyTorch; the legalized graph."""
    graph = import_torch_module(module, inputs)
    legal = legalize(graph)
    with torch.no_grad():
        expected = module.eval()(*inputs)
    expected = expected if isinstance(expected, tuple) else (expected,)
    for candidate in (graph, legal):
        results = float_outputs(candidate, inputs)
        assert len(results) == len(expected)
        for result, wanted in zip(results, expected, strict=True):
            bound = TOLERANCE * max(1.0, float(wanted.abs().max()))
            np.testing.assert_allclose(result, wanted.numpy(), rtol=0, atol=bound)
    return legal


def pad2d(*amounts: int) -> Callable[..., Any]:
    return lambda m, y: functional.pad(y, amounts)


OPERATORS: dict[str, Callable[..., Any]] = {
    "add_map": lambda m, y: y + torch.relu(y),
    "add_scalar": lambda m, y: y + 1.5,
    "add_alpha": lambda m, y: torch.add(y, m.vector, alpha=2),
    "add_channel_vector": lambda m, y: y + m.vector,
    "add_rank_3_vector": lambda m, y: torch.relu(y) + m.narrow,
    "add_pooled_vector": lambda m, y: y + y.mean((2, 3), keepdim=True),
    "subtract_vector": lambda m, y: y - m.vector,
    "subtract_maps": lambda m, y: y - torch.relu(y),
    "reverse_subtract": lambda m, y: 3.0 - y,
    "multiply_vector": lambda m, y: y * m.vector,
    "multiply_scalar": lambda m, y: y * -0.3,
    "multiply_maps": lambda m, y: y * torch.relu(y),
    "negate": lambda m, y: -y,
    "divide_scalar": lambda m, y: y / 4,
    "divide_vector": lambda m, y: torch.relu(y) / m.narrow,
    "relu": lambda m, y: torch.relu(y),
    "relu_in_place": lambda m, y: torch.relu_(y),
    "add_in_place": lambda m, y: y.add_(1.0).mul_(m.vector),
    "relu6": lambda m, y: functional.relu6(y * 9),
    "hardtanh": lambda m, y: functional.hardtanh(y, -0.25, 0.5),
    "clamp_low_only": lambda m, y: y.clamp(min=-0.1),
    "clamp_high_only": lambda m, y: y.clamp(max=0.1),
    "relu_of_clamp": lambda m, y: torch.relu(y.clamp(-1.0, 0.4)),
    "max_pool": lambda m, y: functional.max_pool2d(y, 3, 2, padding=1),
    "max_pool_ceil": lambda m, y: functional.max_pool2d(y, 2, 2, ceil_mode=True),
    "max_pool_dilated": lambda m, y: functional.max_pool2d(y, 2, 1, dilation=2),
    "relu_of_max_pool": lambda m, y: torch.relu(functional.max_pool2d(y, 2)),
    "average_pool": lambda m, y: functional.avg_pool2d(y, 2),
    "average_pool_counts_padding": lambda m, y: functional.avg_pool2d(y, 3, 2, padding=1),
    "average_pool_not_counted": lambda m, y: functional.avg_pool2d(
        y, 3, 2, padding=1, count_include_pad=False
    ),
    "average_pool_ceil": lambda m, y: functional.avg_pool2d(y, 2, 2, ceil_mode=True),
    "adaptive_pool_to_1": lambda m, y: functional.adaptive_avg_pool2d(y, 1),
    "adaptive_pool_tiles": lambda m, y: functional.adaptive_avg_pool2d(y, (3, 1)),
    "mean_hw": lambda m, y: y.mean((2, 3)),
    "mean_wh_keepdim": lambda m, y: y.mean((-1, -2), keepdim=True),
    "mean_w": lambda m, y: y.mean(3),
    "mean_h_keepdim": lambda m, y: y.mean(2, keepdim=True),
    "mean_of_flat_map": lambda m, y: y.flatten(2).mean(2),
    "mean_axis_1_of_rank_3": lambda m, y: y.flatten(2).mean(1),
    "pad_hw": pad2d(1, 2, 0, 3),
    "pad_channels": pad2d(0, 0, 0, 0, 1, 2),
    "pad_nothing": pad2d(0, 0),
    "flatten": lambda m, y: y.flatten(1),
    "view_rank_3": lambda m, y: y.view(1, 4, 84),
    "view_to_other_map": lambda m, y: y.view(1, 4, 12, 7),
    "squeeze_unsqueeze": lambda m, y: y.mean((2, 3), keepdim=True).squeeze(-1).unsqueeze(1),
    "permute_to_nhwc": lambda m, y: y.permute(0, 2, 3, 1),
    "permute_nhwc_flatten": lambda m, y: y.permute(0, 2, 3, 1).reshape(1, -1),
    "transpose_hw": lambda m, y: y.transpose(2, 3).contiguous(),
    "transpose_channels_and_width": lambda m, y: torch.relu(y).transpose(1, -1),
    "permute_rank_3": lambda m, y: y.flatten(2).permute(0, 2, 1),
    "channel_softmax": lambda m, y: y.softmax(1),
    "softmax_rank_2": lambda m, y: y.mean((2, 3)).softmax(-1),
    "softmax_over_height": lambda m, y: y.softmax(2),
    "softmax_over_width_permuted": lambda m, y: y.permute(0, 2, 3, 1).softmax(3),
    "linear_after_flatten": lambda m, y: functional.linear(y.flatten(1), m.matrix),
    "linear_after_relu_of_flatten": lambda m, y: functional.linear(
        torch.relu(y.flatten(1)), m.matrix, m.matrix[:, 0]
    ),
    "linear_after_hw_transpose": lambda m, y: functional.linear(
        y.transpose(2, 3).reshape(1, -1), m.matrix
    ),
    "linear_over_width": lambda m, y: functional.linear(y, m.columns),
    "linear_rank_3": lambda m, y: functional.linear(y.flatten(1, 2), m.columns),
    "matrix_product": lambda m, y: y.flatten(1) @ m.matrix.t(),
    "addmm": lambda m, y: torch.addmm(m.matrix[:, 3], y.flatten(1), m.matrix.t()),
    "dropout_and_identity": lambda m, y: nn.Identity()(functional.dropout(y, training=False)),
    "clone_detach": lambda m, y: y.clone().detach().contiguous(),
    "batch_norm_not_behind_conv": lambda m, y: functional.batch_norm(
        torch.relu(y), m.narrow.flatten() - 1, m.narrow.flatten(), m.vector.flatten()
    ),
    "two_outputs": lambda m, y: (y.mean((2, 3)), y + 1),
    "folded_constants": lambda m, y: y * (m.vector.abs().sqrt() + torch.ones(8, 1, 1)),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operator_computes_what_pytorch_does(name: str) -> None:
    module = torch_models.randomize(Function(OPERATORS[name]))
    assert_same_function(module, (torch_models.noise(1, 3, 6, 7),))


CONVOLUTIONS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "pointwise": (nn.Conv2d(6, 9, 1), (6, 5, 4)),
    "stride_2_symmetric_padding": (nn.Conv2d(6, 4, 3, stride=2, padding=1), (6, 8, 8)),
    "same_even_kernel": (nn.Conv2d(6, 4, (4, 2), padding="same"), (6, 7, 8)),
    "valid_dilated": (nn.Conv2d(6, 4, 3, dilation=(2, 1), padding="valid"), (6, 9, 8)),
    "kernel_10x4": (nn.Conv2d(1, 4, (10, 4), stride=(2, 1), padding=(4, 1)), (1, 25, 10)),
    "groups": (nn.Conv2d(6, 9, 3, groups=3, bias=False), (6, 5, 5)),
    "depthwise": (nn.Conv2d(6, 6, 3, padding=1, groups=6), (6, 5, 5)),
    "depthwise_multiplier_3": (nn.Conv2d(4, 12, 3, stride=2, groups=4), (4, 7, 7)),
    "one_input_channel_is_not_depthwise": (nn.Conv2d(1, 5, 3, groups=1), (1, 5, 5)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution_computes_what_pytorch_does(name: str) -> None:
    convolution, shape = CONVOLUTIONS[name]
    norm = nn.BatchNorm2d(int(convolution.out_channels))
    module = torch_models.randomize(nn.Sequential(convolution, norm, nn.ReLU()))
    graph = assert_same_function(module, (torch_models.noise(1, *shape),))
    depthwise = name.startswith("depthwise")
    assert [node.op for node in graph.nodes] == ["depthwise_conv2d" if depthwise else "conv2d"]


MODELS = {
    "ds_cnn": torch_models.ds_cnn,
    "resnet8": torch_models.resnet8,
    "mobilenet_v2_035_96": lambda: torch_models.mobilenet_v2(width=0.35, resolution=96),
}


@pytest.mark.parametrize("name", MODELS)
def test_network_computes_what_pytorch_does(name: str) -> None:
    graph = assert_same_function(*MODELS[name]())
    assert {"mul", "requantize", "pad", "transpose"}.isdisjoint(node.op for node in graph.nodes)


def test_boundary_and_sources_are_those_of_the_module() -> None:
    graph = import_torch_module(*torch_models.resnet8())
    (port,) = graph.inputs
    assert (port.source_shape, port.layout) == ((1, 3, 32, 32), "NCHW")
    assert graph.tensors[port.tensor].shape == (1, 32, 32, 3)
    assert (graph.outputs[0].source_shape, graph.outputs[0].layout) == ((1, 10), "")
    assert {"stem/0", "stacks/1/conv1", "stacks/1/shortcut"} <= {n.source for n in graph.nodes}


def test_import_leaves_the_module_as_it_was() -> None:
    module, inputs = torch_models.resnet8()
    module.train()
    module.stem.eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    import_torch_module(module, inputs)
    assert module.training and module.stacks.training and not module.stem.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_import_gives_the_same_bytes_twice() -> None:
    graphs = [legalize(import_torch_module(*torch_models.ds_cnn())) for _ in range(2)]
    assert graphs[0].nodes == graphs[1].nodes
    for name, tensor in graphs[0].tensors.items():
        if tensor.data is not None:
            assert tensor.data.tobytes() == graphs[1].tensors[name].data.tobytes()  # type: ignore[union-attr]


def test_larger_batches_are_exported_at_one() -> None:
    module, _ = torch_models.ds_cnn()
    graph = import_torch_module(module, torch_models.noise(4, 1, 25, 10))
    assert graph.inputs[0].source_shape == (1, 1, 25, 10)


def test_all_unsupported_operators_are_listed_at_once() -> None:
    class Unsupported(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Threshold(0.1, 0.0))
            self.tail = nn.Sequential(nn.ConvTranspose2d(4, 4, 2), nn.Threshold(0.2, 0.0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cumsum(self.tail(self.head(x)), 1) + functional.avg_pool2d(
                self.head(x), 3, 2, padding=1, ceil_mode=True
            ).mean((1, 2), keepdim=True).mean((1, 2, 3), keepdim=True)

    with pytest.raises(UnsupportedError) as caught:
        import_torch_module(Unsupported(), torch_models.noise(1, 3, 8, 8))
    lines = caught.value.lines
    assert any(line == "threshold 'head/1': not supported; use relu" for line in lines)
    assert any(line == "threshold 'tail/1': not supported; use relu" for line in lines)
    assert any(line.startswith("cumsum '") for line in lines)
    assert any(line.startswith("mean '") and "dim=(1, 2)" in line for line in lines)
    assert all("\n" not in line for line in lines)


REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "cropping_pad": (lambda m, y: functional.pad(y, (-1, 0)), "pad H, W or C"),
    "divide_rounding": (lambda m, y: torch.div(y, 2.0, rounding_mode="floor"), "rounding_mode"),
    "uneven_tiles": (lambda m, y: functional.adaptive_avg_pool2d(y, 4), "use output_size=1"),
    "rank_5": (lambda m, y: y.view(1, 2, 4, 6, 7).permute(0, 2, 1, 3, 4), "up to 4"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_remedy(name: str) -> None:
    function, remedy = REFUSED[name]
    with pytest.raises(UnsupportedError, match=remedy):
        import_torch_module(Function(function), torch_models.noise(1, 3, 6, 7))


def test_weights_that_are_not_finite_are_bad_input() -> None:
    module, inputs = torch_models.ds_cnn()
    with torch.no_grad():
        module.classifier.weight[0, 0] = float("nan")
    with pytest.raises(BadInputError, match=r"classifier\.weight.*NaN"):
        import_torch_module(module, inputs)


def test_inputs_must_be_float32() -> None:
    with pytest.raises(BadInputError, match="float64"):
        import_torch_module(nn.ReLU(), torch_models.noise(1, 4).double())


def test_untraceable_modules_are_one_line() -> None:
    class Branch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum().item() > 0 else -x

    with pytest.raises(BadInputError) as caught:
        import_torch_module(Branch(), torch_models.noise(1, 4))
    assert len(caught.value.lines) == 1 and "\n" not in str(caught.value)


def write_pt2(path: Path, module: nn.Module, inputs: tuple[Any, ...], **options: Any) -> Path:
    torch.export.save(torch.export.export(module, inputs, **options), path)
    return path


def test_pt2_file_gives_the_graph_of_the_module(tmp_path: Path) -> None:
    module, inputs = torch_models.ds_cnn()
    from_file = legalize(import_pt2(write_pt2(tmp_path / "net.pt2", module, inputs)))
    from_module = legalize(import_torch_module(module, inputs))
    assert [n.op for n in from_file.nodes] == [n.op for n in from_module.nodes]
    np.testing.assert_array_equal(
        float_outputs(from_file, inputs)[0], float_outputs(from_module, inputs)[0]
    )


def test_pt2_file_of_core_aten_operators(tmp_path: Path) -> None:
    module, inputs = torch_models.resnet8()
    program = torch.export.export(module, inputs).run_decompositions()
    torch.export.save(program, tmp_path / "core.pt2")
    graph = legalize(import_pt2(tmp_path / "core.pt2"))
    expected = module(*inputs).detach().numpy()
    np.testing.assert_allclose(float_outputs(graph, inputs)[0], expected, rtol=0, atol=TOLERANCE)


def test_pt2_in_training_mode_is_refused(tmp_path: Path) -> None:
    module, _ = torch_models.ds_cnn()
    path = write_pt2(tmp_path / "train.pt2", module.train(), (torch_models.noise(1, 1, 25, 10),))
    with pytest.raises(UnsupportedError, match=r"call module\.eval\(\)"):
        import_pt2(path)


def test_pt2_with_another_batch_or_dynamic_shapes_is_refused(tmp_path: Path) -> None:
    module, _ = torch_models.ds_cnn()
    inputs = (torch_models.noise(4, 1, 25, 10),)
    with pytest.raises(BadInputError, match="fixed batch of 1"):
        import_pt2(write_pt2(tmp_path / "four.pt2", module, inputs))
    dynamic = ({0: torch.export.Dim("batch", max=64)},)
    path = write_pt2(tmp_path / "dynamic.pt2", module, inputs, dynamic_shapes=dynamic)
    with pytest.raises(UnsupportedError, match="dynamic shapes"):
        import_pt2(path)


def rewritten(path: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """A copy of an archive whose entries went through ``change``; None drops an entry."""
    copy = path.with_name("hostile.pt2")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(copy, "w") as target:
        for name in source.namelist():
            if (data := change(name, source.read(name))) is not None:
                target.writestr(name, data)
    return copy


class Payload:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def _use_pickle(name: str, data: bytes) -> bytes:
    return data.replace(b'"use_pickle": false', b'"use_pickle": true')


def _call_foreign(name: str, data: bytes) -> bytes:
    return data.replace(b"torch.ops.aten.relu.default", b"torch.hub.load")


def _symbolic(name: str, data: bytes) -> bytes:
    hostile = b'{"as_expr": {"expr_str": "__import__(1)", "hint": null}}'
    return data.replace(b'{"as_int": 10}', hostile)


def _wrong_size(name: str, data: bytes) -> bytes:
    return data.replace(b'{"as_int": 10}', b'{"as_int": 1000000}')


HOSTILE: dict[str, Callable[[str, bytes], bytes | None]] = {
    "pickled_weights": _use_pickle,
    "foreign_function": _call_foreign,
    "symbolic_expression": _symbolic,
    "wrong_sizes": _wrong_size,
    "compiled_code": lambda name, data: data,
    "no_model": lambda name, data: None if name.endswith("model.json") else data,
    "no_weights": lambda name, data: None if "/weight_" in name else data,
    "short_weights": lambda name, data: data[:4] if "/weight_" in name else data,
    "broken_json": lambda name, data: data[:-9] if name.endswith("model.json") else data,
    "empty_json": lambda name, data: b"{}" if name.endswith("model.json") else data,
    "json_list": lambda name, data: b"[1]" if name.endswith("model.json") else data,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pt2_files_are_refused_in_one_line(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = rewritten(write_pt2(tmp_path / "net.pt2", *torch_models.ds_cnn()), HOSTILE[name])
    if name == "compiled_code":
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("net/data/aotinductor/model/model.so", b"\x7fELF")
    with pytest.raises((BadInputError, UnsupportedError)) as caught:
        import_pt2(path)
    assert all("\n" not in line for line in caught.value.lines)
    assert "Traceback" not in capfd.readouterr().err


def test_pickled_sample_inputs_execute_nothing(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    buffer = io.BytesIO()
    torch.save(((Payload(touched),), {}), buffer)

    def change(name: str, data: bytes) -> bytes:
        return buffer.getvalue() if "sample_inputs" in name else data

    path = rewritten(write_pt2(tmp_path / "net.pt2", *torch_models.ds_cnn()), change)
    with pytest.raises(BadInputError):
        import_pt2(path)
    assert not touched.exists()


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive at all", b"{}" * 5000])
def test_files_that_are_no_archives(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=r"not a torch\.export file"):
        import_pt2(path)


def test_truncated_pt2_files(tmp_path: Path) -> None:
    data = write_pt2(tmp_path / "net.pt2", *torch_models.ds_cnn()).read_bytes()
    for length in (100, len(data) // 2, len(data) - 30):
        (tmp_path / "cut.pt2").write_bytes(data[:length])
        with pytest.raises(BadInputError):
            import_pt2(tmp_path / "cut.pt2")


def test_weights_config_is_what_the_screen_expects(tmp_path: Path) -> None:
    """If PyTorch renames its fields, the screen must be looked at again."""
    with zipfile.ZipFile(write_pt2(tmp_path / "net.pt2", *torch_models.ds_cnn())) as archive:
        (config,) = (n for n in archive.namelist() if n.endswith("weights_config.json"))
        payloads = json.loads(archive.read(config))["config"]
    assert payloads and all(p["use_pickle"] is False for p in payloads.values())


USER_FILE = """
import torch
from helper import CHANNELS

def model():
    return torch.nn.Conv2d(CHANNELS, 2, 1), torch.zeros(1, CHANNELS, 4, 4)

def wrong():
    return torch.nn.ReLU()

def failing():
    raise RuntimeError("no weights here\\nsecond line")
"""


def test_models_of_a_python_file(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text(USER_FILE)
    (tmp_path / "helper.py").write_text("CHANNELS = 3\n")
    assert [n.op for n in import_torch_function(path, "model").nodes] == ["conv2d"]
    with pytest.raises(BadInputError, match=r"return \(nn\.Module, example_inputs\)"):
        import_torch_function(path, "wrong")
    with pytest.raises(BadInputError, match=r"failing: RuntimeError: no weights here$"):
        import_torch_function(path, "failing")
    with pytest.raises(BadInputError, match="no function 'absent'"):
        import_torch_function(path, "absent")
    with pytest.raises(BadInputError, match="no such file"):
        import_torch_function(tmp_path / "absent.py", "model")
