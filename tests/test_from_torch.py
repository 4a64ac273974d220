# SPDX-License-Identifier: Apache-2.0
"""PyTorch import: operators, convolutions and networks give what PyTorch computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")

from support import torch_models  # noqa: E402
from support.torch_checks import Function, assert_same_function  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from edgekit.converters.from_torch import import_torch_module  # noqa: E402
from edgekit.converters.legalize import legalize  # noqa: E402


def behind_stem(function: Callable[..., Any]) -> Function:
    """A function of 8 channels, and the constants that the functions below use."""
    return Function(
        function,
        channels=(3, 8),
        vector=torch.linspace(-1.5, 2.0, 8).reshape(1, 8, 1, 1),
        narrow=torch.linspace(0.5, 2.0, 8).reshape(8, 1, 1),
        matrix=torch.linspace(-1, 1, 5 * 336).reshape(5, 336),
        columns=torch.linspace(-1, 1, 7 * 4).reshape(4, 7),
    )


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
    module = torch_models.randomize(behind_stem(OPERATORS[name]))
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
