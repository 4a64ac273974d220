# SPDX-License-Identifier: Apache-2.0
"""Random small networks: hypothesis draws a list of layers, and what does not fit is left out.

A network stays a list of plain tuples, so that a failing one is printed in full and shrinks well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from support.torch_models import randomize

MOST_CHANNELS = 24
MOST_PIXELS = 400

ACTIVATIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "none": lambda x: x,
    "relu": torch.relu,
    "relu6": functional.relu6,
    "clamp": lambda x: x.clamp(-0.5, 1.5),
    "leaky_relu": lambda x: functional.leaky_relu(x, 0.1),
    "hardswish": functional.hardswish,
    "hardsigmoid": functional.hardsigmoid,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": functional.silu,
    "gelu": functional.gelu,
    "elu": functional.elu,
}


@dataclass(frozen=True)
class NetworkSpec:
    """The input (C, H, W), the layers as (kind, parameters), and what is returned."""

    shape: tuple[int, int, int]
    layers: tuple[tuple[str, tuple[Any, ...]], ...]
    head: str
    second_output: bool


def _window() -> st.SearchStrategy[tuple[Any, ...]]:
    """(kernel h, w), stride, dilation, (padding h, w)"""
    small = st.integers(1, 4)
    return st.tuples(
        st.tuples(small, small),
        st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 2), (3, 2)]),
        st.sampled_from([(1, 1), (1, 1), (1, 1), (2, 2), (1, 3)]),
        st.tuples(st.integers(0, 3), st.integers(0, 3)),
    )


def _layer() -> st.SearchStrategy[tuple[str, tuple[Any, ...]]]:
    channels, activation = st.integers(1, 12), st.sampled_from(sorted(ACTIVATIONS))
    normed, bias = st.booleans(), st.booleans()
    kinds: dict[str, tuple[st.SearchStrategy[Any], ...]] = {
        "conv": (channels, _window(), st.integers(1, 3), bias, normed, activation),
        "depthwise": (st.integers(1, 2), _window(), bias, normed, activation),
        "residual": (st.sampled_from([1, 3]), normed, activation),
        "branches": (channels, activation),
        "mixed": (channels, activation),
        "max_pool": (st.integers(1, 3), st.integers(1, 3), st.booleans(), st.booleans()),
        "average_pool": (st.integers(1, 3), st.integers(1, 3), st.booleans(), st.booleans()),
        "activation": (activation,),
        "gate": (st.sampled_from(["sigmoid", "hardsigmoid"]),),
        "pad": (st.tuples(*[st.integers(0, 2)] * 4),),
        "upsample": (st.sampled_from(["nearest", "bilinear"]),),
        "shuffle": (),
        "difference": (activation,),
        "swap": (),
    }
    return st.one_of(
        [st.tuples(st.just(kind), st.tuples(*parts)) for kind, parts in sorted(kinds.items())]
    )


def network_specs() -> st.SearchStrategy[NetworkSpec]:
    return st.builds(
        NetworkSpec,
        shape=st.tuples(st.integers(1, 4), st.integers(1, 13), st.integers(1, 13)),
        layers=st.lists(_layer(), min_size=3, max_size=8).map(tuple),
        head=st.sampled_from(["map", "classes", "softmax", "flat", "mean", "sequence"]),
        second_output=st.booleans(),
    )


class RandomNetwork(nn.Module):
    """The network of a spec. Every layer is tried on the shape in front of it."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.layers = nn.ModuleList()
        x = torch.zeros(1, *spec.shape)
        for kind, parameters in spec.layers:
            layer = LAYERS[kind](x.shape, *parameters)
            result = _shape_behind(layer, x) if layer is not None else None
            if layer is not None and result is not None:
                self.layers.append(layer)
                x = result
        self.linear = nn.Linear(x[0].numel() if spec.head == "flat" else x.shape[1], 5)

    def forward(self, x: torch.Tensor) -> Any:
        middle = x
        for position, layer in enumerate(self.layers):
            x = layer(x)
            middle = x if position == 0 else middle
        result = self._head(x)
        return (result, middle + 0.5) if self.spec.second_output else result

    def _head(self, x: torch.Tensor) -> torch.Tensor:
        match self.spec.head:
            case "classes":
                return self.linear(functional.adaptive_avg_pool2d(x, 1).flatten(1))
            case "softmax":
                return self.linear(x.mean((2, 3))).softmax(1)
            case "flat":
                return self.linear(x.flatten(1))
            case "mean":
                return x.mean((2, 3), keepdim=True) - 0.25
            case "sequence":
                return x.permute(0, 2, 3, 1).reshape(1, -1, x.shape[1])
        return x


def _shape_behind(layer: nn.Module, x: torch.Tensor) -> torch.Tensor | None:
    """The result of a layer on zeros; None where it is refused, empty or too large."""
    try:
        with torch.no_grad():
            result: torch.Tensor = layer.eval()(x)
    except RuntimeError:  # a window that is larger than the padded map
        return None
    _, channels, height, width = result.shape
    fits = channels <= MOST_CHANNELS and 0 < height * width <= MOST_PIXELS
    return result if fits else None


class Lambda(nn.Module):
    """A function of one map, with the modules that it uses."""

    def __init__(self, function: Callable[..., torch.Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.parts, self.function = nn.ModuleList(parts), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x, *self.parts)


def _activated(convolution: nn.Conv2d, normed: bool, activation: str) -> nn.Module:
    norm = nn.BatchNorm2d(convolution.out_channels) if normed else nn.Identity()
    function = ACTIVATIONS[activation]
    return Lambda(lambda x, *parts: function(parts[1](parts[0](x))), convolution, norm)


def _conv(
    shape: torch.Size, channels: int, window: Any, groups: int, bias: bool, *rest: Any
) -> nn.Module:
    kernel, stride, dilation, padding = window
    groups = groups if shape[1] % groups == 0 else 1
    convolution = nn.Conv2d(
        shape[1], channels * groups, kernel, stride, padding, dilation, groups, bias
    )
    return _activated(convolution, *rest)


def _depthwise(
    shape: torch.Size, multiplier: int, window: Any, bias: bool, *rest: Any
) -> nn.Module:
    kernel, stride, dilation, padding = window
    channels = shape[1]
    convolution = nn.Conv2d(
        channels, channels * multiplier, kernel, stride, padding, dilation, channels, bias
    )
    return _activated(convolution, *rest)


def _residual(shape: torch.Size, kernel: int, normed: bool, activation: str) -> nn.Module:
    inner = _activated(nn.Conv2d(shape[1], shape[1], kernel, padding=kernel // 2), normed, "relu")
    function = ACTIVATIONS[activation]
    return Lambda(lambda x, part: function(x + part(x)), inner)


def _branches(shape: torch.Size, channels: int, activation: str) -> nn.Module:
    point, wide = nn.Conv2d(shape[1], channels, 1), nn.Conv2d(shape[1], 3, 3, padding=1)
    function = ACTIVATIONS[activation]
    return Lambda(lambda x, a, b: torch.cat([function(a(x)), x, b(x)], 1), point, wide)


def _mixed(shape: torch.Size, channels: int, activation: str) -> nn.Module | None:
    if shape[1] < 2:
        return None
    half, function = shape[1] // 2, ACTIVATIONS[activation]
    point, wide = nn.Conv2d(half, channels, 1), nn.Conv2d(shape[1] - half, 3, 3, padding=1)
    norm = nn.BatchNorm2d(channels + 3)
    return Lambda(
        lambda x, a, b, n: function(n(torch.cat([a(x[:, :half]), b(x[:, half:])], 1))),
        point,
        wide,
        norm,
    )


def _max_pool(shape: torch.Size, kernel: int, stride: int, padded: bool, ceil: bool) -> nn.Module:
    padding = kernel // 2 if padded else 0
    return nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil)


def _average_pool(
    shape: torch.Size, kernel: int, stride: int, padded: bool, count: bool
) -> nn.Module:
    padding = kernel // 2 if padded else 0
    return nn.AvgPool2d(kernel, stride, padding, count_include_pad=count)


def _gate(shape: torch.Size, activation: str) -> nn.Module:
    function, channels = ACTIVATIONS[activation], shape[1]
    down, up = nn.Conv2d(channels, 2, 1), nn.Conv2d(2, channels, 1)
    return Lambda(
        lambda x, a, b: x * function(b(torch.relu(a(x.mean((2, 3), keepdim=True))))), down, up
    )


def _shuffle(shape: torch.Size) -> nn.Module | None:
    if shape[1] % 4:
        return None
    return Lambda(lambda x: functional.pixel_shuffle(x, 2))


LAYERS: Mapping[str, Callable[..., nn.Module | None]] = {
    "conv": _conv,
    "depthwise": _depthwise,
    "residual": _residual,
    "branches": _branches,
    "mixed": _mixed,
    "max_pool": _max_pool,
    "average_pool": _average_pool,
    "activation": lambda shape, name: Lambda(ACTIVATIONS[name]),
    "gate": _gate,
    "pad": lambda shape, amounts: Lambda(lambda x: functional.pad(x, amounts)),
    "upsample": lambda shape, mode: nn.Upsample(scale_factor=2, mode=mode),
    "shuffle": _shuffle,
    "difference": lambda shape, name: Lambda(lambda x: x - 0.4 * ACTIVATIONS[name](x)),
    "swap": lambda shape: Lambda(lambda x: torch.cat(x.chunk(2, 1)[::-1], 1)),
}


def build(spec: NetworkSpec) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """(module, example inputs) of a spec, the same for the same spec."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = randomize(RandomNetwork(spec))
        return module, (torch.randn(1, *spec.shape),)
