# SPDX-License-Identifier: Apache-2.0
"""Parallel branches become one convolution: RepVGG, MobileOne and their kin against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")

from support.torch_models import noise, randomize  # noqa: E402
from torch import nn  # noqa: E402

import edgekit  # noqa: E402
from edgekit.converters.from_torch import import_torch_module  # noqa: E402
from edgekit.converters.legalize import legalize  # noqa: E402
from edgekit.interpret import interpret_float  # noqa: E402
from edgekit.ir import Graph  # noqa: E402
from edgekit.ops import operator_of  # noqa: E402
from edgekit.window import Axis, Window  # noqa: E402

CHANNELS = 8
# The summed kernels are rounded to float32 once; PyTorch rounds every branch and every sum.
TOLERANCE = 2e-5


class Branches(nn.Module):
    """The sum of branches over one map, then an activation; ``None`` is the map itself."""

    def __init__(self, *branches: nn.Module | None, stem: bool = True, relu: bool = True) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, CHANNELS, 1), nn.ReLU()) if stem else nn.Identity()
        self.branches = nn.ModuleList(nn.Identity() if b is None else b for b in branches)
        self.relu = relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        total: Any = 0
        for branch in self.branches:
            total = total + branch(x)
        return torch.relu(total) if self.relu else total


def conv_bn(kernel: Any, *, outputs: int = CHANNELS, **options: Any) -> nn.Module:
    conv = nn.Conv2d(CHANNELS, outputs, kernel, bias=False, **options)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def depthwise(kernel: int, stride: int = 1) -> nn.Module:
    return conv_bn(kernel, padding=kernel // 2, stride=stride, groups=CHANNELS)


def norm() -> nn.Module:
    return nn.BatchNorm2d(CHANNELS)


def macs(graph: Graph) -> int:
    return sum(operator_of(call.node).macs(call) for call in graph.calls())


def legal_graph(module: nn.Module, shape: tuple[int, ...] = (1, 3, 9, 8)) -> Graph:
    """The legalized graph, compared with PyTorch."""
    randomize(module)
    x = noise(*shape)
    graph = import_torch_module(module, (x,))
    legal = legalize(graph)
    with torch.no_grad():
        expected = module(x).numpy().transpose(0, 2, 3, 1)
    result = interpret_float(legal, [x.numpy().transpose(0, 2, 3, 1)])[legal.outputs[0].tensor]
    np.testing.assert_allclose(result, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())
    assert macs(legal) <= macs(graph)
    return legal


def operators_behind_stem(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes][1:]


SAME_3 = Axis(3, 1, 1, 1, 1)
FOLDED: dict[str, tuple[nn.Module, str, Window]] = {
    "repvgg": (
        Branches(conv_bn(3, padding=1), conv_bn(1), norm()),
        "conv2d",
        Window(SAME_3, SAME_3),
    ),
    "repvgg_stride_2": (
        Branches(conv_bn(3, padding=1, stride=2), conv_bn(1, stride=2)),
        "conv2d",
        Window(Axis(3, 2, 1, 1, 1), Axis(3, 2, 1, 1, 0)),
    ),
    "repvgg_groups": (
        Branches(conv_bn(3, padding=1, groups=2), conv_bn(1, groups=2), norm()),
        "conv2d",
        Window(SAME_3, SAME_3),
    ),
    "mobileone_depthwise": (
        Branches(norm(), depthwise(1), depthwise(3), depthwise(3), depthwise(3)),
        "depthwise_conv2d",
        Window(SAME_3, SAME_3),
    ),
    "mobileone_depthwise_stride_2": (
        Branches(depthwise(1, stride=2), depthwise(3, stride=2), depthwise(3, stride=2)),
        "depthwise_conv2d",
        Window(Axis(3, 2, 1, 1, 1), Axis(3, 2, 1, 1, 0)),
    ),
    "mobileone_pointwise": (
        Branches(norm(), conv_bn(1), conv_bn(1), conv_bn(1)),
        "conv2d",
        Window(Axis(1), Axis(1)),
    ),
    "identity_and_bias": (
        Branches(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), None),
        "conv2d",
        Window(SAME_3, SAME_3),
    ),
    "asymmetric_kernels": (
        Branches(
            conv_bn((1, 3), padding=(0, 1)), conv_bn((3, 1), padding=(1, 0)), conv_bn(3, padding=1)
        ),
        "conv2d",
        Window(SAME_3, SAME_3),
    ),
    "dense_and_depthwise": (
        Branches(conv_bn(3, padding=1), depthwise(3)),
        "conv2d",
        Window(SAME_3, SAME_3),
    ),
    "large_and_dilated": (
        Branches(conv_bn(5, padding=2), conv_bn(3, padding=2, dilation=2), depthwise(3)),
        "conv2d",
        Window(Axis(5, 1, 1, 2, 2), Axis(5, 1, 1, 2, 2)),
    ),
    "both_dilated": (
        Branches(conv_bn(3, padding=2, dilation=2), conv_bn(1), norm()),
        "conv2d",
        Window(Axis(3, 1, 2, 2, 2), Axis(3, 1, 2, 2, 2)),
    ),
    "average_pool": (
        Branches(depthwise(3), nn.AvgPool2d(3, 1, padding=1), norm()),
        "depthwise_conv2d",
        Window(SAME_3, SAME_3),
    ),
    "average_pool_without_padding": (
        Branches(
            conv_bn(3, groups=CHANNELS), nn.AvgPool2d(3, 1, count_include_pad=False)
        ),
        "depthwise_conv2d",
        Window(Axis(3), Axis(3)),
    ),
    "depth_multiplier": (
        Branches(
            conv_bn(3, outputs=2 * CHANNELS, padding=1, groups=CHANNELS),
            conv_bn(1, outputs=2 * CHANNELS, groups=CHANNELS),
        ),
        "depthwise_conv2d",
        Window(SAME_3, SAME_3),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDED)
def test_branches_fold_into_one_convolution(name: str) -> None:
    module, op, window = FOLDED[name]
    legal = legal_graph(module)
    assert operators_behind_stem(legal) == [op]
    assert legal.nodes[1].attributes.window == window
    assert legal.nodes[1].attributes.activation_min == 0.0


class OtherBranches(nn.Module):
    """Sums that must stay: other maps, clamps between, a second reader."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.stem = nn.Conv2d(3, CHANNELS, 1)
        self.first, self.second = conv_bn(3, padding=1), conv_bn(1)

    def forward(self, x: torch.Tensor) -> Any:
        x = torch.relu(self.stem(x))
        first = self.first(x)
        if self.kind == "clamped":
            return torch.relu(first) + self.second(x)
        if self.kind == "in_series":
            return first + self.second(torch.relu(first))
        return (first + self.second(x)) * torch.relu(first)


@pytest.mark.parametrize("kind", ["clamped", "in_series", "second_reader"])
def test_sums_of_other_things_stay(kind: str) -> None:
    assert "add" in operators_behind_stem(legal_graph(OtherBranches(kind)))


def test_what_would_cost_more_stays() -> None:
    cross = Branches(conv_bn((1, 3), padding=(0, 1)), conv_bn((3, 1), padding=(1, 0)))
    assert operators_behind_stem(legal_graph(cross)) == ["conv2d", "conv2d", "add"]
    far = Branches(conv_bn(3, padding=1), conv_bn(3, padding=3, dilation=3))
    assert operators_behind_stem(legal_graph(far)) == ["conv2d", "conv2d", "add"]


def test_average_that_counts_only_inside_stays() -> None:
    module = Branches(depthwise(3), nn.AvgPool2d(3, 1, padding=1, count_include_pad=False))
    assert "average_pool2d" in operators_behind_stem(legal_graph(module))


def test_branches_over_the_input_of_the_model() -> None:
    first, second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(3, 6, 1)
    legal = legal_graph(Branches(first, second, stem=False))
    assert [node.op for node in legal.nodes] == ["conv2d"]


def test_two_repvgg_blocks_convert_to_equal_c() -> None:
    blocks = [Branches(conv_bn(3, padding=1), conv_bn(1), norm(), stem=i == 0) for i in range(2)]
    module = randomize(nn.Sequential(*blocks))
    x = noise(1, 3, 9, 8)
    artifact = edgekit.convert(module, (x,), calibration=[x], target="cortex-m4")
    assert [layer.op for layer in artifact.manifest.layers] == ["conv2d"] * 3
    artifact.validate().assert_ok()
