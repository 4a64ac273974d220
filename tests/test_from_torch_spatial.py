# SPDX-License-Identifier: Apache-2.0
"""PyTorch's convolutions, poolings, pads and resizings of maps and sequences, detail by detail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")

from support import torch_models  # noqa: E402
from support.torch_checks import assert_converts, assert_same_function  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from edgekit.converters.from_torch import import_torch_module  # noqa: E402
from edgekit.errors import UnsupportedError  # noqa: E402

pytestmark = pytest.mark.usefixtures("modules_exported_once")

MAP, SEQUENCE = (4, 7, 9), (6, 40)


class Function(nn.Module):
    """One function between two convolutions, so that layouts and padding values matter."""

    def __init__(self, function: Callable[[Any], Any], shape: tuple[int, ...]) -> None:
        super().__init__()
        channels = shape[0]
        kind = nn.Conv2d if len(shape) == 3 else nn.Conv1d
        self.stem = kind(channels, channels, 3, padding=1)
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(self.stem(x))


def check(module: nn.Module, shape: tuple[int, ...]) -> Any:
    """The legalized graph, after all comparisons: floats, then C of the integers."""
    module = torch_models.randomize(module)
    inputs = (torch_models.noise(1, *shape),)
    graph = assert_same_function(module, inputs)
    assert_converts(module, inputs)
    return graph


def check_function(function: Callable[[Any], Any], shape: tuple[int, ...] = MAP) -> Any:
    return check(Function(function, shape), shape)


def operators(graph: Any) -> list[str]:
    return [node.op for node in graph.nodes]


AVERAGE_POOLS: dict[str, Any] = {
    "not_padded": {"kernel_size": 3},
    "padding_counted": {"kernel_size": 3, "stride": 2, "padding": 1},
    "padding_not_counted": {"kernel_size": 3, "padding": 1, "count_include_pad": False},
    "ceil_mode": {"kernel_size": 2, "ceil_mode": True},
    "ceil_mode_padding_counted": {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    "ceil_mode_hangs_over": {"kernel_size": (4, 5), "stride": (4, 3), "padding": 1}
    | {"ceil_mode": True},
    "ceil_mode_padding_not_counted": {"kernel_size": 4, "stride": 3, "padding": 2}
    | {"ceil_mode": True, "count_include_pad": False},
    "divisor_override": {"kernel_size": (2, 3), "divisor_override": 4},
    "divisor_override_padded": {"kernel_size": 3, "stride": 2, "padding": 1, "divisor_override": 5}
    | {"ceil_mode": True},
}


@pytest.mark.parametrize("name", AVERAGE_POOLS)
def test_average_pooling_with_and_without_the_padding_counted(name: str) -> None:
    check_function(lambda y: functional.avg_pool2d(y, **AVERAGE_POOLS[name]))


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("stride", [2, 3])
def test_ceil_mode_of_max_pooling(stride: int, padding: int) -> None:
    check_function(
        lambda y: functional.max_pool2d(y, 3, stride, padding=padding, ceil_mode=True), (3, 8, 11)
    )


def test_strided_1x1_max_pooling() -> None:
    graph = check_function(lambda y: functional.max_pool2d(y, 1, 2))
    assert operators(graph) == ["conv2d", "max_pool2d"]


def test_pool_behind_a_pad_of_minus_infinity_pads_itself() -> None:
    graph = check_function(
        lambda y: functional.max_pool2d(functional.pad(y, (0, 1, 0, 1), value=-torch.inf), 3, 2)
    )
    assert operators(graph) == ["conv2d", "max_pool2d"]


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes_of_a_convolution(mode: str) -> None:
    graph = check(nn.Conv2d(4, 5, (3, 5), padding=(1, 2), padding_mode=mode), MAP)
    assert operators(graph) == ["pad", "conv2d"]


PADS: dict[str, tuple[tuple[int, ...], str, float | None, tuple[int, ...]]] = {
    "reflect": ((1, 2, 3, 1), "reflect", None, MAP),
    "replicate": ((1, 2, 9, 1), "replicate", None, MAP),
    "circular": ((4, 2, 7, 1), "circular", None, MAP),
    "value": ((1, 0, 2, 1), "constant", 0.5, MAP),
    "zero_channels": ((0, 0, 0, 0, 1, 2), "constant", None, MAP),
    "reflect_sequence": ((5, 2), "reflect", None, SEQUENCE),
    "replicate_sequence": ((0, 9), "replicate", None, SEQUENCE),
    "circular_sequence": ((5, 5), "circular", None, SEQUENCE),
    "causal_sequence": ((5, 0), "constant", None, SEQUENCE),
    "sequence_and_channels": ((1, 2, 1, 0), "constant", None, SEQUENCE),
}


@pytest.mark.parametrize("name", PADS)
def test_pad(name: str) -> None:
    amounts, mode, value, shape = PADS[name]
    check_function(lambda y: functional.pad(y, amounts, mode=mode, value=value), shape)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("factor", "size"), [(2, None), (1.5, None), (None, (13, 5))])
def test_align_corners_of_bilinear_resizing(
    align_corners: bool, factor: float | None, size: tuple[int, int] | None
) -> None:
    check_function(
        lambda y: functional.interpolate(
            y, size, scale_factor=factor, mode="bilinear", align_corners=align_corners
        )
    )


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
@pytest.mark.parametrize(
    ("factor", "size"), [(2, None), (3, None), (1.7, None), (0.6, None), (None, (13, 5))]
)
def test_nearest_resizing(mode: str, factor: float | None, size: tuple[int, int] | None) -> None:
    check_function(lambda y: functional.interpolate(y, size, scale_factor=factor, mode=mode))


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "linear"])
def test_resizing_of_a_sequence(mode: str) -> None:
    check_function(lambda y: functional.interpolate(y, scale_factor=2.5, mode=mode), SEQUENCE)


class AtSizes(nn.Module):
    """A sequence resized to each of some sizes."""

    def __init__(self, sizes: tuple[int, ...], mode: str) -> None:
        super().__init__()
        self.sizes, self.mode = sizes, mode

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(functional.interpolate(x, size=size, mode=self.mode) for size in self.sizes)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_nearest_input_is_the_one_that_pytorch_reads(mode: str) -> None:
    """Over many sizes, where float32 rounding decides; exactly, on an index ramp."""
    sizes = (1, 5, 9, 14, 20, 33, 82, 127, 193)
    for size in (3, 7, 10, 41, 96):
        ramp = torch.arange(size, dtype=torch.float32).reshape(1, 1, size)
        module = AtSizes(sizes, mode)
        graph = import_torch_module(module, (ramp,))
        nodes = [node for node in graph.nodes if node.op == "resize_nearest"]
        for result, expected, node in zip(sizes, module(ramp), nodes, strict=True):
            columns = expected.numpy().astype(int)[0, 0]
            assert np.array_equal(node.attributes.columns, columns), (size, result)


@pytest.mark.parametrize("factor", [2, 3])
def test_pixel_shuffle_and_back(factor: int) -> None:
    channels = factor * factor * 2
    graph = check_function(lambda y: functional.pixel_shuffle(y, factor), (channels, 3, 5))
    assert operators(graph) == ["conv2d", "depth_to_space"]
    shape = (2, 3 * factor, 2 * factor)
    graph = check_function(lambda y: functional.pixel_unshuffle(y, factor), shape)
    assert operators(graph) == ["conv2d", "space_to_depth"]


CONVOLUTIONS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "dilation_wider_than_the_map": (nn.Conv2d(4, 3, 3, padding=9, dilation=9), (4, 5, 6)),
    "kernel_as_large_as_the_input": (nn.Conv2d(4, 3, (7, 9)), MAP),
    "unlike_axes": (nn.Conv2d(4, 6, (1, 5), (3, 1), (0, 4), (1, 2), groups=2), MAP),
    "groups_with_multiplier": (nn.Conv2d(6, 9, 3, groups=3), (6, 5, 5)),
    "depthwise_multiplier_5": (nn.Conv2d(4, 20, 3, padding=1, groups=4), MAP),
    "depthwise_dilated": (nn.Conv2d(4, 4, (3, 2), dilation=(2, 3), groups=4), MAP),
    "one_channel": (nn.Conv2d(1, 1, 3, padding=1, groups=1), (1, 4, 4)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(name: str) -> None:
    check(*CONVOLUTIONS[name])


TRANSPOSED: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "2x2_stride_2": (nn.ConvTranspose2d(4, 3, 2, 2), MAP),
    "3x3_stride_2_output_padding": (nn.ConvTranspose2d(4, 3, 3, 2, 1, 1), MAP),
    "4x4_stride_2_padded": (nn.ConvTranspose2d(4, 3, 4, 2, 1, bias=False), MAP),
    "stride_above_kernel": (nn.ConvTranspose2d(4, 3, 2, 3, output_padding=2), MAP),
    "unlike_axes": (nn.ConvTranspose2d(4, 3, (1, 4), (2, 1), (0, 2), (1, 0)), MAP),
    "dilated": (nn.ConvTranspose2d(4, 3, 3, 2, 1, 1, dilation=2), MAP),
    "groups": (nn.ConvTranspose2d(4, 6, 3, 2, groups=2), MAP),
    "depthwise": (nn.ConvTranspose2d(4, 4, 4, 2, 1, groups=4), MAP),
    "sequence": (nn.ConvTranspose1d(6, 4, 5, 3, 1, 2), SEQUENCE),
    "sequence_in_groups": (nn.ConvTranspose1d(6, 6, 4, 2, 1, groups=3), SEQUENCE),
}


@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed_convolution(name: str) -> None:
    """With the batch norm and the clamp that fold into it, between two other layers."""
    layer, shape = TRANSPOSED[name]
    norm = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
    kind = nn.Conv2d if len(shape) == 3 else nn.Conv1d
    outputs = int(layer.out_channels)  # type: ignore[arg-type]
    stem, tail = kind(shape[0], shape[0], 3, padding=1), kind(outputs, 2, 1)
    graph = check(nn.Sequential(stem, layer, norm(outputs), nn.ReLU(), tail), shape)
    maps = [node.op for node in graph.nodes if node.op not in ("reshape", "transpose")]
    assert maps == ["conv2d", "transposed_conv2d", "conv2d"]


def test_crop_beyond_the_kernel_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="padding=3 cuts off more than the kernel adds; use"):
        import_torch_module(nn.ConvTranspose2d(2, 2, 2, 2, 3), torch_models.noise(1, 2, 9, 9))


class SharedWeights(nn.Module):
    """One convolution and one batch norm over maps of two sizes, as in detection heads."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())

    def forward(self, x: Any) -> Any:
        small = functional.max_pool2d(x, 2) * 3.0
        return self.head(x), self.head(small)


def test_weights_shared_between_maps_of_different_size() -> None:
    graph = check(SharedWeights(), (4, 8, 10))
    assert operators(graph).count("conv2d") == 2


@pytest.mark.parametrize("padding", [0, 1])
def test_batch_norm_before_a_convolution(padding: int) -> None:
    """With zero padding its shift is no part of the convolution behind it, so it must stay."""
    module = nn.Sequential(
        nn.MaxPool2d(2),
        nn.BatchNorm2d(4),
        nn.Conv2d(4, 6, 3, padding=padding, groups=2),
        nn.ReLU(),
    )
    graph = check(module, (4, 10, 12))
    kept = ["max_pool2d", "mul", "add", "conv2d"]
    assert operators(graph) == (kept if padding else ["max_pool2d", "conv2d"])


def test_scale_before_a_padded_depthwise_convolution_folds() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 8, 3, padding=1, groups=4)
            self.scale = nn.Parameter(torch.linspace(-1.5, 2.0, 4).reshape(4, 1, 1))

        def forward(self, x: Any) -> Any:
            return self.conv(functional.max_pool2d(x, 2) * self.scale)

    assert operators(check(Scaled(), (4, 10, 12))) == ["max_pool2d", "depthwise_conv2d"]


def test_batch_norm_before_a_linear_layer_folds() -> None:
    layers = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(4), nn.Linear(4, 3))
    assert "mul" not in operators(check(nn.Sequential(*layers), MAP))


class BareBranch(nn.Module):
    """A batch norm on a branch that no convolution precedes, beside one that has one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.bare = nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, x: Any) -> Any:
        x = functional.max_pool2d(x, 2)
        return torch.relu(self.norm(self.conv(x)) + self.bare(x))


def test_batch_norm_on_a_bare_branch() -> None:
    check(BareBranch(), (4, 10, 12))


class Residual1d(nn.Module):
    """Causal convolutions with batch norms, a gate and a residual sum over a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(6, 8, 5, 2), nn.BatchNorm1d(8), nn.ReLU())
        self.depthwise = nn.Conv1d(8, 8, 7, groups=8, dilation=2)
        self.norm, self.point = nn.BatchNorm1d(8), nn.Conv1d(8, 8, 1)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        x = self.stem(functional.pad(x, (4, 0)))
        y = torch.relu(self.norm(self.depthwise(functional.pad(x, (12, 0)))))
        x = self.point(y) + x
        x = x * x.mean(2, keepdim=True)
        return self.head(functional.max_pool1d(x, 2).mean(2))


def test_sequence_network_is_a_map_network_without_transposes() -> None:
    """The input alone changes its layout."""
    graph = check(Residual1d(), SEQUENCE)
    assert operators(graph).count("transpose") == 1
    assert "pad" not in operators(graph)


SEQUENCES: dict[str, nn.Module] = {
    "conv": nn.Conv1d(6, 4, 3, 2, 1),
    "conv_same_even_kernel": nn.Conv1d(6, 4, 4, padding="same"),
    "conv_kernel_as_long_as_the_sequence": nn.Conv1d(6, 4, 40),
    "conv_dilated_groups": nn.Conv1d(6, 9, 3, dilation=4, padding=4, groups=3),
    "conv_circular": nn.Conv1d(6, 4, 5, padding=2, padding_mode="circular"),
    "max_pool": nn.MaxPool1d(3, 2, 1),
    "max_pool_ceil_dilated": nn.MaxPool1d(2, 3, dilation=2, ceil_mode=True),
    "average_pool": nn.AvgPool1d(4, 3, 1),
    "average_pool_ceil": nn.AvgPool1d(4, 3, 2, ceil_mode=True, count_include_pad=True),
    "global_average": nn.AdaptiveAvgPool1d(1),
    "tiled_average": nn.AdaptiveAvgPool1d(8),
    "global_maximum": nn.AdaptiveMaxPool1d(1),
    "batch_norm": nn.BatchNorm1d(6),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences(name: str) -> None:
    check(SEQUENCES[name], SEQUENCE)


@pytest.mark.parametrize("length", [64, 65, 300])
def test_kernel_as_long_as_the_sequence(length: int) -> None:
    module = nn.Sequential(nn.Conv1d(2, 2, 3, padding=1), nn.ReLU(), nn.Conv1d(2, 3, length))
    check(module, (2, length))


TALL: dict[str, tuple[Callable[[Any], Any], tuple[int, int, int]]] = {
    "global_average": (lambda y: functional.avg_pool2d(y, (70, 5)), (2, 70, 5)),
    "global_maximum": (lambda y: functional.adaptive_max_pool2d(y, 1), (2, 70, 5)),
    "average_over_time": (lambda y: functional.avg_pool2d(y, (66, 1), (2, 1)), (2, 71, 5)),
    "average_of_a_column": (lambda y: functional.avg_pool2d(y, (66, 1), (2, 1)), (2, 71, 1)),
    "maximum_over_time": (lambda y: functional.max_pool2d(y, (66, 1), 1, (9, 0)), (2, 71, 5)),
    "maximum_over_both": (lambda y: functional.max_pool2d(y, (66, 3), (2, 1), 1), (2, 71, 5)),
}


@pytest.mark.parametrize("name", TALL)
def test_pooling_windows_taller_than_64_rows(name: str) -> None:
    check_function(*TALL[name])


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(3, 4, (80, 1), padding=(9, 0)), (3, 90, 1)),
        (nn.Conv2d(3, 4, (80, 3), (3, 1), padding=(9, 1)), (3, 90, 1)),
        (nn.Conv2d(3, 3, (80, 1), groups=3), (3, 90, 1)),
        (nn.Conv2d(3, 4, (66, 5)), (3, 66, 5)),
        (nn.Conv2d(3, 6, (66, 5), groups=3), (3, 66, 5)),
    ],
    ids=["sequence_on_h", "sequence_on_h_wide", "depthwise_on_h", "whole_map", "depthwise_whole"],
)
def test_convolution_taller_than_64_rows(layer: nn.Module, shape: tuple[int, int, int]) -> None:
    check(layer, shape)
