# SPDX-License-Identifier: Apache-2.0
"""Networks as people write them in PyTorch: every one small, seeded, and with a difficulty of its own.

``ZOO`` has them by name; each entry returns (module, example inputs).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from support import torch_zoo_layers as layers
from support.torch_models import DsCnn, noise, randomize
from support.torch_zoo_layers import conv_bn

Built = tuple[nn.Module, tuple[torch.Tensor, ...]]


class UNet(nn.Module):
    """Ronneberger et al., 2015: skips joined by concatenation, upsampled with or without weights."""

    def __init__(self, *, transposed: bool, base: int = 8, classes: int = 3) -> None:
        super().__init__()
        self.down1, self.down2 = layers.double_conv(3, base), layers.double_conv(base, 2 * base)
        self.bottom = layers.double_conv(2 * base, 4 * base)
        if transposed:
            self.up2: nn.Module = nn.ConvTranspose2d(4 * base, 2 * base, 2, stride=2)
            self.up1: nn.Module = nn.ConvTranspose2d(2 * base, base, 3, 2, 1, output_padding=1)
        else:
            self.up2 = layers.upsample_conv(4 * base, 2 * base, align_corners=False)
            self.up1 = layers.upsample_conv(2 * base, base, align_corners=True)
        self.join2 = layers.double_conv(4 * base, 2 * base)
        self.join1 = layers.double_conv(2 * base, base)
        self.head = nn.Conv2d(base, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.down1(x)
        second = self.down2(functional.max_pool2d(first, 2))
        x = self.bottom(functional.max_pool2d(second, 2))
        x = self.join2(torch.cat([self.up2(x), second], dim=1))
        return self.head(self.join1(torch.cat([self.up1(x), first], dim=1)))


class OddShapes(nn.Module):
    """Maps of 15 x 11 -> 7 x 5 -> 3 x 2, dilation, groups, and two outputs of different rank."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn(3, 9, 3, stride=2, padding=0)
        self.dilated = conv_bn(9, 9, 3, padding=(2, 3), dilation=(2, 3))
        self.grouped = nn.Conv2d(9, 15, (3, 2), stride=(2, 2), groups=3)
        self.wider_than_the_map = nn.Conv2d(15, 15, 3, padding=4, dilation=4, groups=15)
        self.head = nn.Linear(15 * 6, 7)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.stem(x)
        x = functional.leaky_relu(self.grouped(x + self.dilated(x)), 0.1)
        x = x + self.wider_than_the_map(x)
        return self.head(x.flatten(1)), torch.sigmoid(x)


class TemporalConvNet(nn.Module):
    """Bai et al., 2018: dilated causal 1-D convolutions; the newest frame decides."""

    def __init__(self, *, channels: int = 12, frames: int = 32) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            layers.CausalBlock(5 if i == 0 else channels, channels, dilation=2**i) for i in range(4)
        )
        self.pool = nn.MaxPool1d(3, stride=2, padding=1)
        self.summary = nn.Conv1d(channels, channels, frames // 2)
        self.head = nn.Linear(2 * channels, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        summary = torch.tanh(self.summary(self.pool(x))).squeeze(2)
        return self.head(torch.cat([x[:, :, -1], summary], 1))


class SuperResolution(nn.Module):
    """Shi et al., 2016: sub-pixel convolution, here on top of the enlarged input."""

    def __init__(self, *, scale: int = 2) -> None:
        super().__init__()
        self.scale = scale
        self.features = nn.Sequential(
            nn.Conv2d(1, 12, 5, padding=2), nn.PReLU(12), nn.Conv2d(12, 8, 3, padding=1), nn.Tanh()
        )
        self.expand = nn.Conv2d(8, scale * scale, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        enlarged = functional.interpolate(x, scale_factor=self.scale, mode="nearest")
        detail = functional.pixel_shuffle(self.expand(self.features(x)), self.scale)
        return (enlarged + detail).clamp(-2.0, 2.0)


class DenseNet(nn.Module):
    """Huang et al., 2017: batch norm and ReLU before every convolution, concatenation of many."""

    def __init__(self, *, growth: int = 6, depth: int = 5) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, growth, 3, padding=1, bias=False)
        self.blocks = nn.ModuleList(
            layers.DenseBlock(growth * (i + 1), growth, separate=i % 2 == 0) for i in range(depth)
        )
        total = growth * (depth + 1)
        self.transition = nn.Sequential(
            nn.BatchNorm2d(total), nn.ReLU(), nn.Conv2d(total, total // 2, 1), nn.AvgPool2d(2)
        )
        self.head = nn.Linear(total // 2, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = [self.stem(x)]
        for block in self.blocks:
            features.append(block(torch.cat(features, 1)))
        x = self.transition(torch.cat(features, dim=1))
        return self.head(functional.adaptive_avg_pool2d(x, 1).view(1, -1))


class Detector(nn.Module):
    """Two scales joined by an upsampled path; boxes, scores and a heat map as separate outputs."""

    def __init__(self, *, anchors: int = 3, classes: int = 4) -> None:
        super().__init__()
        self.classes = classes
        self.low, self.high = conv_bn(3, 12, 3, stride=4), conv_bn(12, 24, 3, stride=2)
        self.lateral = nn.Conv2d(24, 12, 1)
        self.boxes = nn.Conv2d(24, anchors * 4, 1)
        self.scores = nn.Conv2d(24, anchors * classes, 3, padding=1)
        self.heat = nn.Conv2d(12, 1, 3, padding=1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        low = self.low(x)
        high = self.high(low)
        joined = low + functional.interpolate(self.lateral(high), size=low.shape[2:])
        boxes = self.boxes(high).permute(0, 2, 3, 1).reshape(x.shape[0], -1, 4)
        scores = self.scores(high).permute(0, 2, 3, 1).contiguous().view(1, -1, self.classes)
        heat = torch.sigmoid(self.heat(joined))
        return {"boxes": boxes, "scores": scores.softmax(-1), "heat": heat}


class TwoCameras(nn.Module):
    """Two images of different size through one trunk, and a vector beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(conv_bn(3, 8, 3, stride=2), layers.SqueezeExcite(8, 4))
        self.vector = nn.Sequential(nn.Linear(6, 8), nn.Sigmoid())
        self.head = nn.Linear(16, 3)

    def forward(self, left: torch.Tensor, right: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        gate = self.vector(state)
        a, b = (self.trunk(image).mean((2, 3)) for image in (left, right))
        return self.head(torch.cat([a * gate, b - gate], 1))


class SharedHead(nn.Module):
    """Lin et al., 2017: one head on the maps of three sizes of a pyramid."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.ModuleList([conv_bn(3, 8, 3, stride=2), conv_bn(8, 8, 3, stride=2)])
        self.head = nn.Sequential(conv_bn(8, 8, 3, groups=8), nn.Conv2d(8, 4, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = [self.levels[0](x)]
        maps.append(self.levels[1](maps[-1]))
        maps.append(functional.max_pool2d(maps[-1], 1, stride=2))
        return torch.cat([self.head(level).flatten(2).transpose(1, 2) for level in maps], 1)


class InPlace(nn.Module):
    """Activations that overwrite their input, as functions, modules and operators."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.activation = nn.Hardswish(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu_(self.a(x))
        y = self.activation(self.b(x))
        y += x
        y = functional.silu(y, inplace=True).mul_(0.5)
        y = functional.elu(self.b(y), inplace=True).add_(x)
        x = functional.hardsigmoid(y, inplace=True) * functional.gelu(y).clamp_(-1, 1)
        return functional.leaky_relu_(x, 0.2)


class EdgePadding(nn.Module):
    """Padding that repeats the map."""

    def __init__(self) -> None:
        super().__init__()
        modes = ("reflect", "replicate", "circular", "zeros")
        self.convolutions = nn.ModuleList(
            nn.Conv2d(6 if i else 3, 6, 3, padding=(2, 1), padding_mode=mode)
            for i, mode in enumerate(modes)
        )
        self.constant = nn.ConstantPad2d((0, 2, 1, 0), 0.75)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for convolution in self.convolutions:
            x = torch.relu(convolution(x))
        return functional.avg_pool2d(self.constant(x), 3, 2, padding=1, ceil_mode=True)


def _sequence(*parts: nn.Module, classes: int = 5, channels: int = 0) -> nn.Sequential:
    """The parts, then a classifier on their mean."""
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
    return nn.Sequential(*parts, *(head if channels else ()))


def _squeeze_net() -> nn.Module:
    fires = (layers.Fire(8, 4, 8), layers.Fire(16, 4, 8), nn.MaxPool2d(3, 2, ceil_mode=True))
    stem = (nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, ceil_mode=True))
    head = (nn.Conv2d(16, 5, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*stem, *fires, nn.Dropout(0.5), *head)


def _mobile_net_v3() -> nn.Module:
    blocks = (
        layers.SqueezedBottleneck(8, 16, 8, stride=1, kernel=3),
        layers.SqueezedBottleneck(8, 24, 12, stride=2, kernel=5),
        layers.SqueezedBottleneck(12, 36, 12, stride=1, kernel=5),
    )
    return _sequence(conv_bn(3, 8, 3, nn.Hardswish, stride=2), *blocks, channels=12)


def _wide_ds_cnn() -> nn.Module:
    return nn.Sequential(DsCnn(channels=24, blocks=4), nn.Softmax(dim=1))


def _entry(build: Callable[..., nn.Module], *shapes: tuple[int, ...], **options: Any) -> Any:
    def built() -> Built:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)  # for the layers that randomize() leaves alone
            module = randomize(build(**options))
        return module, tuple(noise(1, *shape, seed=7 + i) for i, shape in enumerate(shapes))

    return built


ZOO: Mapping[str, Callable[[], Built]] = {
    "unet_transposed": _entry(UNet, (3, 24, 16), transposed=True),
    "unet_bilinear": _entry(UNet, (3, 24, 16), transposed=False),
    "ds_cnn_keywords": _entry(_wide_ds_cnn, (1, 49, 10)),
    "odd_shapes": _entry(OddShapes, (3, 15, 11)),
    "temporal": _entry(TemporalConvNet, (5, 32)),
    "super_resolution": _entry(SuperResolution, (1, 9, 14)),
    "super_resolution_x3": _entry(SuperResolution, (1, 6, 5), scale=3),
    "shuffle_net_v2": _entry(layers.shuffle_net, (3, 20, 20)),
    "squeeze_net": _entry(_squeeze_net, (3, 30, 30)),
    "mobile_net_v3": _entry(_mobile_net_v3, (3, 24, 24)),
    "dense_net": _entry(DenseNet, (3, 12, 12)),
    "inception": _entry(lambda: _sequence(layers.Inception(3), channels=20), (3, 11, 13)),
    "detector": _entry(Detector, (3, 32, 24)),
    "two_cameras": _entry(TwoCameras, (3, 16, 16), (3, 9, 13), (6,)),
    "shared_head": _entry(SharedHead, (3, 22, 18)),
    "reparametrized": _entry(layers.reparametrized, (3, 12, 12)),
    "generated_weights": _entry(layers.generated_weights, (3, 10, 10)),
    "in_place": _entry(InPlace, (2, 9, 7)),
    "edge_padding": _entry(EdgePadding, (3, 9, 8)),
    "auto_encoder": _entry(layers.auto_encoder, (1, 16, 12)),
}
