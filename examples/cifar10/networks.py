# SPDX-License-Identifier: Apache-2.0
"""ResNet-8 and MobileNetV2 0.35 for images of 32 x 32, and how to spoil the balance of channels.

ResNet-8: the image classification model of MLPerf Tiny, without its softmax. MobileNetV2: Sandler
et al., 2018, with one halving of the map fewer than at 224 x 224.
"""

from __future__ import annotations

import torch
from torch import nn

CLASSES = 10


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, 1x1 where the shape changes."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity() if stride == 1 else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet8(nn.Module):
    """Three residual blocks of 16, 32 and 64 channels."""

    def __init__(self) -> None:
        super().__init__()
        stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.stem = nn.Sequential(stem, nn.BatchNorm2d(16), nn.ReLU())
        self.blocks = nn.Sequential(
            ResidualBlock(16, 16, stride=1),
            ResidualBlock(16, 32, stride=2),
            ResidualBlock(32, 64, stride=2),
        )
        self.pool = nn.AvgPool2d(8)
        self.classifier = nn.Linear(64, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.pool(self.blocks(self.stem(x))), 1))


def _conv_bn_relu6(inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1):
    conv = nn.Conv2d(
        inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
    )
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU6())


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; a shortcut where the shape stays the same."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers = [] if expansion == 1 else [_conv_bn_relu6(inputs, hidden, 1)]
        layers += [
            _conv_bn_relu6(hidden, hidden, 3, stride=stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        self.layers = nn.Sequential(*layers)
        self.has_shortcut = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x) if self.has_shortcut else self.layers(x)


def divisible_by_8(channels: float) -> int:
    """The nearest multiple of 8, raised where that loses more than a tenth."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class MobileNetV2(nn.Module):
    """(expansion, channels, blocks, stride): table 2 of the paper, the stem without its stride."""

    BLOCKS = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )

    def __init__(self, width: float = 0.35) -> None:
        super().__init__()
        channels = divisible_by_8(32 * width)
        features: list[nn.Module] = [_conv_bn_relu6(3, channels, 3)]
        for expansion, base, blocks, stride in self.BLOCKS:
            outputs = divisible_by_8(base * width)
            for block in range(blocks):
                first = stride if block == 0 else 1
                features.append(
                    InvertedResidual(channels, outputs, stride=first, expansion=expansion)
                )
                channels = outputs
        features.append(_conv_bn_relu6(channels, 1280, 1))
        self.features = nn.Sequential(*features)
        self.pool = nn.AvgPool2d(2)
        self.classifier = nn.Linear(1280, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.pool(self.features(x)), 1))


def unbalance(network: ResNet8, *, factor: float, seed: int) -> ResNet8:
    """Scale an eighth of the channels between the convolutions of each block by ``factor``, in place.

    What the network computes stays the same, as relu(s x) = s relu(x) for s > 0: the batch norm in
    front multiplies each channel by its own factor, the convolution behind divides by it. But one
    scale for all channels of a map no longer serves them.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for block in network.blocks:
            channels = block.bn1.num_features
            chosen = torch.randperm(channels, generator=generator)[: channels // 8]
            scales = torch.ones(channels)
            scales[chosen] = factor
            block.bn1.weight.mul_(scales)
            block.bn1.bias.mul_(scales)
            block.conv2.weight.div_(scales[None, :, None, None])
    return network
