# SPDX-License-Identifier: Apache-2.0
"""The reference networks of the schedule benchmark, with seeded random weights.

MobileNetV1: Howard et al., 2017. MobileNetV2: Sandler et al., 2018. EfficientNet-lite0: Tan and Le,
2019, without squeeze-and-excite and with ReLU6. U-Net: Ronneberger et al., 2015, same padding.
ResNet-8: MLPerf Tiny. The MCUNet-like network for visual wake words: a .tflite file that is used
where it lies beside the repository.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
MODELS = REPOSITORY.parent / "shared" / "models"

LITE0 = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
"""(expansion, channels, blocks, stride, kernel) of EfficientNet-lite0."""


def _support() -> Any:
    sys.path.insert(0, str(REPOSITORY / "tests"))
    from support import torch_models

    return torch_models


def _mobilenet_v2(width: float, resolution: int) -> Any:
    return _support().mobilenet_v2(width=width, resolution=resolution)


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )


def mobilenet_v1() -> Any:
    """Width 0.25 at 96 x 96, two classes: the visual wake words model of MLPerf Tiny."""
    import torch
    from torch import nn

    layers, channels = [_conv(3, 8, 3, 2)], 8
    outputs = (16, 32, 32, 64, 64, *[128] * 6, 256, 256)
    for number, wider in enumerate(outputs):
        stride = 2 if number in (1, 3, 5, 11) else 1
        layers += [_conv(channels, channels, 3, stride, channels), _conv(channels, wider, 1)]
        channels = wider
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 2)]
    module = nn.Sequential(*layers, *head)
    return _support().randomize(module), (torch.rand(1, 3, 96, 96),)


def efficientnet_lite0() -> Any:
    """At 224 x 224, 1000 classes."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int):
            super().__init__()
            wide = inputs * expansion
            layers = [_conv(inputs, wide, 1)] if expansion > 1 else []
            layers += [_conv(wide, wide, kernel, stride, wide)]
            layers += [nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
            self.layers = nn.Sequential(*layers)
            self.residual = stride == 1 and inputs == outputs

        def forward(self, x: Any) -> Any:
            return x + self.layers(x) if self.residual else self.layers(x)

    layers: list[Any] = [_conv(3, 32, 3, 2)]
    channels = 32
    for expansion, outputs, blocks, stride, kernel in LITE0:
        for number in range(blocks):
            first = stride if number == 0 else 1
            layers.append(Block(channels, outputs, expansion, kernel, first))
            channels = outputs
    layers += [_conv(channels, 1280, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    module = nn.Sequential(*layers, nn.Linear(1280, 1000))
    return _support().randomize(module), (torch.rand(1, 3, 224, 224),)


def unet(widths: tuple[int, ...] = (16, 32, 64, 128)) -> Any:
    """Base 16 at 128 x 128, four levels by default, one output channel."""
    import torch
    from torch import nn

    def twice(inputs: int, outputs: int) -> Any:
        return nn.Sequential(_conv(inputs, outputs, 3), _conv(outputs, outputs, 3))

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.ModuleList(
                twice(a, b) for a, b in zip((3, *widths), widths, strict=False)
            )
            self.middle = twice(widths[-1], 2 * widths[-1])
            self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, 2) for w in widths[::-1])
            self.join = nn.ModuleList(twice(2 * w, w) for w in widths[::-1])
            self.head = nn.Conv2d(16, 1, 1)
            self.pool = nn.MaxPool2d(2)

        def forward(self, x: Any) -> Any:
            skips = []
            for level in self.down:
                x = level(x)
                skips.append(x)
                x = self.pool(x)
            x = self.middle(x)
            for up, join, skip in zip(self.up, self.join, skips[::-1], strict=True):
                x = join(torch.cat([skip, up(x)], dim=1))
            return self.head(x)

    return _support().randomize(UNet()), (torch.rand(1, 3, 128, 128),)


NETWORKS: Mapping[str, Callable[[], Any] | Path] = {
    "MobileNetV2 1.0 @224": lambda: _mobilenet_v2(1.0, 224),
    "MobileNetV2 0.35 @144": lambda: _mobilenet_v2(0.35, 144),
    "MobileNetV1 0.25 @96": mobilenet_v1,
    "MCUNet vww @80": MODELS / "mcunet_vww.tflite",
    "ResNet-8 @32": lambda: _support().resnet8(),
    "EfficientNet-lite0 @224": efficientnet_lite0,
    "U-Net 16 @128, 3 levels": lambda: unet((16, 32, 64)),
    "U-Net 16 @128, 4 levels": unet,
}
"""A function that returns (module, example inputs), or the path of a model file."""
