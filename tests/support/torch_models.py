# SPDX-License-Identifier: Apache-2.0
"""Small and standard networks in PyTorch, with seeded weights and batch norms that matter.

MobileNetV2: Sandler et al., 2018. ResNet-8: the image classification model of MLPerf Tiny.
DS-CNN: Zhang et al., "Hello Edge", 2017, shrunk.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def randomize(module: nn.Module, *, seed: int = 0) -> nn.Module:
    """Seeded weights that keep activations in range, and running statistics far from (0, 1)."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(like: torch.Tensor, low: float, high: float) -> torch.Tensor:
        return torch.rand(like.shape, generator=generator) * (high - low) + low

    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                fan_in = part.weight[0].numel()
                normal = torch.randn(part.weight.shape, generator=generator)
                part.weight.copy_(normal * (1.5 / fan_in) ** 0.5)
                if part.bias is not None:
                    part.bias.copy_(uniform(part.bias, -0.2, 0.2))
            elif isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
                part.weight.copy_(uniform(part.weight, 0.6, 1.6))
                part.bias.copy_(uniform(part.bias, -0.4, 0.4))
                part.running_mean.copy_(uniform(part.running_mean, -0.3, 0.3))
                part.running_var.copy_(uniform(part.running_var, 0.5, 2.0))
    return module.eval()


def _conv_bn_relu6(inputs: int, outputs: int, kernel: int, **options: Any) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False, **options)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers = [] if expansion == 1 else [_conv_bn_relu6(inputs, hidden, 1)]
        layers += [
            _conv_bn_relu6(hidden, hidden, 3, stride=stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        self.conv = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


def _divisible_by_8(channels: float) -> int:
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class MobileNetV2(nn.Module):
    """(expansion, channels, blocks, stride) as in table 2 of the paper."""

    BLOCKS = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )

    def __init__(self, *, width: float = 1.0, classes: int = 1000) -> None:
        super().__init__()
        channels = _divisible_by_8(32 * width)
        last = _divisible_by_8(1280 * max(1.0, width))
        features: list[nn.Module] = [_conv_bn_relu6(3, channels, 3, stride=2)]
        for expansion, base, blocks, stride in self.BLOCKS:
            outputs = _divisible_by_8(base * width)
            for block in range(blocks):
                first = stride if block == 0 else 1
                features.append(
                    InvertedResidual(channels, outputs, stride=first, expansion=expansion)
                )
                channels = outputs
        features.append(_conv_bn_relu6(channels, last, 1))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(torch.flatten(x, 1))


class ResidualBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity() if stride == 1 else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet8(nn.Module):
    """For maps of 32 x 32: three residual stacks of 16, 32 and 64 channels."""

    def __init__(self, *, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
        self.stacks = nn.Sequential(
            ResidualBlock(16, 16, stride=1),
            ResidualBlock(16, 32, stride=2),
            ResidualBlock(32, 64, stride=2),
        )
        self.pool = nn.AvgPool2d(8)
        self.classifier = nn.Linear(64, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.stacks(self.stem(x)))
        return torch.softmax(self.classifier(x.view(x.size(0), -1)), dim=1)


class DsCnn(nn.Module):
    """Keyword spotting on (1, 1, 25, 10) features: 10 x 4 stem, depthwise-separable blocks."""

    def __init__(self, *, channels: int = 16, blocks: int = 2, classes: int = 12) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.ZeroPad2d((1, 2, 4, 5)),
            nn.Conv2d(1, channels, (10, 4), stride=(2, 2), bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
        layers: list[nn.Module] = []
        for _ in range(blocks):
            layers += [
                nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
                nn.Conv2d(channels, channels, 1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
            ]
        self.blocks = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.blocks(self.stem(x)).mean((2, 3)))


def mobilenet_v2(
    *, width: float = 1.0, resolution: int = 224, classes: int = 1000
) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """(module, example inputs), as import_torch_module takes them."""
    module = randomize(MobileNetV2(width=width, classes=classes))
    return module, (noise(1, 3, resolution, resolution),)


def resnet8() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return randomize(ResNet8()), (noise(1, 3, 32, 32),)


def ds_cnn() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return randomize(DsCnn()), (noise(1, 1, 25, 10),)


def noise(*shape: int, seed: int = 7) -> torch.Tensor:
    """Standard normal noise, the same for the same seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
