# SPDX-License-Identifier: Apache-2.0
"""The building blocks of the networks in torch_zoo.py."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations


def conv_bn(
    inputs: int, outputs: int, kernel: int, activation: Any = nn.ReLU, **options: Any
) -> nn.Sequential:
    options.setdefault("padding", kernel // 2)
    convolution = nn.Conv2d(inputs, outputs, kernel, bias=False, **options)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), activation())


def double_conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv_bn(inputs, outputs, 3), conv_bn(outputs, outputs, 3))


def upsample_conv(inputs: int, outputs: int, *, align_corners: bool) -> nn.Sequential:
    upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=align_corners)
    return nn.Sequential(upsample, nn.Conv2d(inputs, outputs, 1))


class CausalBlock(nn.Module):
    """Two convolutions that see only the past, and a residual."""

    def __init__(self, inputs: int, outputs: int, *, dilation: int) -> None:
        super().__init__()
        self.past = 2 * dilation
        self.first = nn.Conv1d(inputs, outputs, 3, dilation=dilation)
        self.norm = nn.BatchNorm1d(outputs)
        self.second = nn.Conv1d(outputs, outputs, 3, dilation=dilation, groups=4)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv1d(inputs, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.norm(self.first(functional.pad(x, (self.past, 0)))))
        y = self.second(functional.pad(y, (self.past, 0)))
        return torch.relu(y + self.shortcut(x))


class Fire(nn.Module):
    """Iandola et al., 2016."""

    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.squeeze(x))
        return torch.cat([torch.relu(self.expand1x1(x)), torch.relu(self.expand3x3(x))], 1)


class SqueezeExcite(nn.Module):
    """Hu et al., 2018, with fully connected layers."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(channels, squeezed), nn.Linear(squeezed, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = torch.sigmoid(self.up(torch.relu(self.down(x.mean(dim=(2, 3))))))
        return x * gate.view(1, -1, 1, 1)


class SqueezedBottleneck(nn.Module):
    """The block of MobileNetV3 (Howard et al., 2019), with 1x1 convolutions in its gate."""

    def __init__(self, inputs: int, hidden: int, outputs: int, *, stride: int, kernel: int) -> None:
        super().__init__()
        self.expand = conv_bn(inputs, hidden, 1, nn.Hardswish)
        self.depthwise = conv_bn(hidden, hidden, kernel, nn.Hardswish, stride=stride, groups=hidden)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(hidden, hidden // 4, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden // 4, hidden, 1),
            nn.Hardsigmoid(inplace=True),
        )
        self.project = conv_bn(hidden, outputs, 1, nn.Identity)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.depthwise(self.expand(x))
        y = self.project(y * self.gate(y))
        return x + y if self.residual else y


class ShuffleUnit(nn.Module):
    """Ma et al., 2018: half of the channels pass; the halves are interleaved behind the unit."""

    def __init__(self, channels: int, *, down: bool) -> None:
        super().__init__()
        half, stride = channels // 2, 2 if down else 1
        inputs = channels if down else half
        self.left = (
            nn.Sequential(
                conv_bn(inputs, inputs, 3, nn.Identity, stride=2, groups=inputs),
                conv_bn(inputs, half, 1),
            )
            if down
            else nn.Identity()
        )
        self.right = nn.Sequential(
            conv_bn(inputs, half, 1),
            conv_bn(half, half, 3, nn.Identity, stride=stride, groups=half),
            conv_bn(half, half, 1),
        )
        self.down = down

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = (x, x) if self.down else x.chunk(2, dim=1)
        x = torch.cat((self.left(left), self.right(right)), dim=1)
        batch, channels, height, width = x.shape
        x = x.view(batch, 2, channels // 2, height, width).transpose(1, 2).contiguous()
        return x.view(batch, channels, height, width)


def shuffle_net() -> nn.Module:
    return nn.Sequential(
        conv_bn(3, 12, 3, stride=2),
        ShuffleUnit(12, down=True),
        ShuffleUnit(12, down=False),
        nn.ChannelShuffle(3),
        nn.Conv2d(12, 12, 1, groups=3),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(12, 4),
    )


class DenseBlock(nn.Module):
    """Batch norm, ReLU, convolution; with ``separate``, through a bottleneck."""

    def __init__(self, inputs: int, growth: int, *, separate: bool) -> None:
        super().__init__()
        hidden = 2 * growth if separate else inputs
        bottleneck = [nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU()]
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(inplace=True),
            *(bottleneck if separate else ()),
            nn.Conv2d(hidden, growth, 3, padding="same", bias=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)


class Inception(nn.Module):
    """Szegedy et al., 2015, with factorized kernels and both kinds of pooling."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.point = conv_bn(inputs, 4, 1)
        self.tall_wide = nn.Sequential(
            conv_bn(inputs, 4, 1),
            nn.Conv2d(4, 4, (1, 7), padding=(0, 3)),
            nn.ReLU(),
            nn.Conv2d(4, 4, (5, 1), padding="same"),
        )
        self.average = nn.Sequential(
            nn.AvgPool2d(3, 1, 1, count_include_pad=False), conv_bn(3, 4, 1)
        )
        self.counted = nn.Sequential(nn.AvgPool2d(3, 1, padding=1), nn.Conv2d(3, 4, 1))
        self.largest = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), conv_bn(3, 4, 1, nn.SiLU))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branches = (self.point, self.tall_wide, self.average, self.counted, self.largest)
        return torch.cat([branch(x) for branch in branches], 1)


class ParallelBranches(nn.Module):
    """Ding et al., 2021: 3x3, 1x1 and identity, each with its own batch norm, in training form."""

    def __init__(self, channels: int, *, groups: int = 1) -> None:
        super().__init__()
        self.large = conv_bn(channels, channels, 3, nn.Identity, groups=groups)
        self.small = conv_bn(channels, channels, 1, nn.Identity, groups=groups)
        self.bare = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.large(x) + self.small(x) + self.bare(x))


def reparametrized() -> nn.Module:
    return nn.Sequential(
        conv_bn(3, 8, 3), ParallelBranches(8), ParallelBranches(8, groups=8), nn.Conv2d(8, 4, 1)
    )


class StandardizedConv2d(nn.Conv2d):
    """Qiao et al., 2019: the weights are normalised in every forward pass."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002
        mean = self.weight.mean((1, 2, 3), keepdim=True)
        variance = self.weight.var((1, 2, 3), keepdim=True, unbiased=False)
        weight = (self.weight - mean) * torch.rsqrt(variance + 1e-5) * 0.3
        return functional.conv2d(input, weight, self.bias, self.stride, self.padding)


class KroneckerConv2d(nn.Module):
    """A kernel that is the Kronecker product of two small tensors, enlarged by interpolation."""

    def __init__(self) -> None:
        super().__init__()
        self.outer = nn.Parameter(torch.randn(3, 2) * 0.5)
        self.inner = nn.Parameter(torch.randn(2, 4, 2, 2) * 0.4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = functional.interpolate(self.inner, size=(3, 3), mode="bilinear")
        weight = torch.kron(self.outer[:, :, None, None].contiguous(), inner)
        return functional.conv2d(x, weight, padding=1)


def generated_weights() -> nn.Module:
    normed = parametrizations.weight_norm(nn.Conv2d(3, 8, 3, padding=1))
    return nn.Sequential(
        normed, nn.ReLU(), StandardizedConv2d(8, 8, 3, padding=1), nn.ReLU(), KroneckerConv2d()
    )


def auto_encoder() -> nn.Module:
    return nn.Sequential(
        conv_bn(1, 8, 3, stride=2),
        conv_bn(8, 12, 3, stride=2),
        nn.ConvTranspose2d(12, 8, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 8, 3, stride=2, padding=1, output_padding=1, groups=2),
        nn.ELU(),
        nn.ConvTranspose2d(8, 1, 3, padding=1),
        nn.Tanh(),
    )
