# SPDX-License-Identifier: Apache-2.0
"""A network whose channels have ranges that one scale does not serve."""

from __future__ import annotations

import itertools

import torch
from torch import nn


def unbalanced(activation: type[nn.Module], *, factor: float = 100.0) -> nn.Sequential:
    """A grouped, a depthwise, a strided and a linear layer; channels between them scaled."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [
        nn.Conv2d(4, 12, 3, padding=1),
        nn.Conv2d(12, 12, 3, padding=1, groups=12),
        nn.Conv2d(12, 8, 1, groups=2),
        nn.Conv2d(8, 8, 3, stride=2, padding=1),
        nn.Linear(8, 5),
    ]
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for front, behind in itertools.pairwise(layers):
            channels = front.weight.shape[0]
            scales = factor ** torch.rand(channels, generator=generator)
            front.weight.mul_(scales.reshape(-1, *[1] * (front.weight.ndim - 1)))
            front.bias.mul_(scales)
            inputs = behind.weight.shape[1]
            per_group = scales.reshape(-1, inputs)
            repeated = per_group.repeat_interleave(behind.weight.shape[0] // len(per_group), 0)
            behind.weight.div_(repeated.reshape(*repeated.shape, *[1] * (behind.weight.ndim - 2)))
    first, depthwise, grouped, strided, linear = layers
    tail = (nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)
    return nn.Sequential(
        first, activation(), depthwise, activation(), grouped, strided, activation(), *tail
    ).eval()
