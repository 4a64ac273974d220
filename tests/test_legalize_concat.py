# SPDX-License-Identifier: Apache-2.0
"""A batch norm or a clamp behind a concatenation costs nothing where convolutions are in front."""

from __future__ import annotations

from collections import Counter

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")

from support.torch_checks import assert_same_function  # noqa: E402
from support.torch_models import noise, randomize  # noqa: E402
from torch import nn  # noqa: E402

X = (noise(1, 6, 7, 5),)


class Mixed(nn.Module):
    """Convolutions of several sizes over slices of the channels, then ``behind``."""

    def __init__(self, behind: nn.Module, *, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.small = nn.Conv2d(2, 3, 1, bias=False)
        self.large = nn.Sequential(
            nn.Conv2d(4, 4, 5, padding=2, groups=4), activation or nn.Identity()
        )
        self.behind = behind

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        small, large = torch.split(x, [2, 4], dim=1)
        return self.behind(torch.cat([self.small(small), self.large(large)], 1))


def operators_of(module: nn.Module) -> Counter[str]:
    graph = assert_same_function(randomize(module), X)
    return Counter(node.op for node in graph.nodes if node.op != "slice")


def test_batch_norm_and_clamp_fold_into_the_convolutions() -> None:
    counts = operators_of(Mixed(nn.Sequential(nn.BatchNorm2d(7), nn.ReLU6())))
    assert counts == {"conv2d": 1, "depthwise_conv2d": 1, "concat": 1}


def test_one_number_for_all_channels_folds_too() -> None:
    class Half(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 0.5 + 1.25

    assert operators_of(Mixed(Half())) == {"conv2d": 1, "depthwise_conv2d": 1, "concat": 1}


def test_clamped_convolutions_keep_the_batch_norm_behind_them() -> None:
    """clamp(W x) * s is not clamp(s W x)."""
    counts = operators_of(Mixed(nn.BatchNorm2d(7), activation=nn.ReLU()))
    assert (counts["mul"], counts["add"]) == (1, 1)


def test_map_that_others_read_stays_as_it_is() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(7)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(x) - x

    assert operators_of(Mixed(Both()))["mul"] == 1


def test_concatenation_of_rows_is_left_alone() -> None:
    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(6, 4, 1), nn.Conv2d(6, 4, 3, padding=1)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(torch.cat([self.a(x), self.b(x)], 2))

    assert operators_of(Rows())["mul"] == 1


def test_same_map_twice_is_scaled_twice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(6, 4, 1), nn.BatchNorm2d(8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            return self.norm(torch.cat([y, y], 1))

    assert_same_function(randomize(Twice()), X)
