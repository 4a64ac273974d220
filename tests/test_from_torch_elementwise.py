# SPDX-License-Identifier: Apache-2.0
"""PyTorch's element-wise arithmetic and activation functions, and squeeze-and-excite as it is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")

from support import torch_models  # noqa: E402
from support.torch_checks import Function, assert_converts, assert_same_function  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from edgekit.converters.from_torch import import_torch_module  # noqa: E402
from edgekit.errors import UnsupportedError  # noqa: E402

pytestmark = pytest.mark.usefixtures("modules_exported_once")

MAP = (6, 5, 7)


def behind_stem(function: Callable[..., Any]) -> Function:
    """A function of a map, and the constants that the functions below use."""
    channels = MAP[0]
    return Function(
        function,
        channels=(channels, channels),
        vector=torch.linspace(-0.4, 0.9, channels).reshape(1, channels, 1, 1),
        slopes=torch.linspace(-0.3, 1.2, channels),
    )


def checked(module: nn.Module, shape: tuple[int, ...] = MAP, **options: Any) -> list[str]:
    """The operators of the legalized graph, after all comparisons: floats, then C of the integers."""
    module = torch_models.randomize(module)
    inputs = (torch_models.noise(1, *shape),)
    graph = assert_same_function(module, inputs)
    assert_converts(module, inputs, **options)
    return [node.op for node in graph.nodes]


FUNCTIONS: dict[str, tuple[Callable[..., Any], list[str]]] = {
    "sigmoid": (lambda m, y: torch.sigmoid(y), ["lookup"]),
    "tanh": (lambda m, y: torch.tanh(y), ["lookup"]),
    "hardswish": (lambda m, y: functional.hardswish(y * 3), ["lookup"]),
    "hardsigmoid": (lambda m, y: functional.hardsigmoid(y * 4), ["lookup"]),
    "silu": (lambda m, y: functional.silu(y), ["lookup"]),
    "gelu": (lambda m, y: functional.gelu(y), ["lookup"]),
    "gelu_tanh": (lambda m, y: functional.gelu(y, approximate="tanh"), ["lookup"]),
    "elu": (lambda m, y: functional.elu(y, 0.7), ["lookup"]),
    "selu": (lambda m, y: functional.selu(y), ["lookup"]),
    "celu": (lambda m, y: functional.celu(y, 0.5), ["lookup"]),
    "leaky_relu": (lambda m, y: functional.leaky_relu(y, 0.2), ["lookup"]),
    "softplus": (lambda m, y: functional.softplus(y, beta=2), ["lookup"]),
    "mish": (lambda m, y: functional.mish(y), ["lookup"]),
    "log_sigmoid": (lambda m, y: functional.logsigmoid(y), ["lookup"]),
    "abs": (lambda m, y: y.abs(), ["lookup"]),
    "square": (lambda m, y: y**2, ["lookup"]),
    "cube": (lambda m, y: y**3, ["lookup"]),
    "power_1": (lambda m, y: y**1, []),
    "square_root": (lambda m, y: (y.abs() + 0.1).sqrt(), ["lookup", "add", "lookup"]),
    "power_half": (lambda m, y: (y.abs() + 0.1) ** 0.5, ["lookup", "add", "lookup"]),
    "reciprocal": (lambda m, y: 1 / (y.abs() + 0.7), ["lookup", "add", "lookup"]),
    "rsqrt": (lambda m, y: (y.abs() + 0.7).rsqrt(), ["lookup", "add", "lookup"]),
    "exp": (lambda m, y: y.exp(), ["lookup"]),
    "log": (lambda m, y: (y.abs() + 0.4).log(), ["lookup", "add", "lookup"]),
    "sine": (lambda m, y: y.sin(), ["lookup"]),
    "erf": (lambda m, y: torch.erf(y), ["lookup"]),
    "in_place": (lambda m, y: functional.hardswish(y, inplace=True), ["lookup"]),
    "negate": (lambda m, y: -y, []),
    "prelu_channels": (lambda m, y: functional.prelu(y, m.slopes), ["prelu"]),
    "prelu_one": (lambda m, y: functional.prelu(y, m.slopes[:1]), ["prelu"]),
    "prelu_rank_2": (lambda m, y: functional.prelu(y.mean((2, 3)), m.slopes), ["mean", "prelu"]),
    "sub_maps": (lambda m, y: y - torch.tanh(y), ["lookup", "sub"]),
    "sub_alpha": (lambda m, y: torch.sub(torch.tanh(y), y, alpha=0.5), ["lookup", "mul", "sub"]),
    "sub_from_scalar": (lambda m, y: 1.5 - torch.tanh(y), ["lookup", "sub"]),
    "sub_from_vector": (lambda m, y: m.vector - torch.tanh(y), ["lookup", "sub"]),
    "sub_scalar_folds": (lambda m, y: y - 1.5, []),
    "sub_vector_folds": (lambda m, y: y - m.vector, []),
    "sub_pooled": (lambda m, y: y - y.mean((2, 3), keepdim=True), ["mean", "sub"]),
    "divide_maps": (lambda m, y: y / (1 + y.abs()), ["lookup", "add", "lookup", "mul"]),
    "divide_scalar_folds": (lambda m, y: y / 3, []),
    "minimum": (lambda m, y: torch.minimum(y, -y), ["mul", "minimum"]),
    "maximum": (lambda m, y: torch.maximum(y, y.mean((2, 3), keepdim=True)), ["mean", "maximum"]),
    "maximum_of_vector": (
        lambda m, y: torch.maximum(m.vector, torch.tanh(y)),
        ["lookup", "maximum"],
    ),
    "clamp_to_tensors": (lambda m, y: y.clamp(min=m.vector - 1, max=m.vector), None),
    "clamp_to_numbers": (lambda m, y: y.clamp(-0.2, 0.3), []),
    "silu_spelled_out": (lambda m, y: y * torch.sigmoid(y), ["lookup"]),
    "silu_other_order": (lambda m, y: torch.sigmoid(y) * y, ["lookup"]),
    "hardswish_by_hardsigmoid": (lambda m, y: y * functional.hardsigmoid(y), ["lookup"]),
    "hardswish_divided_last": (lambda m, y: y * functional.relu6(y + 3) / 6, ["lookup"]),
    "hardswish_divided_first": (lambda m, y: (functional.relu6(y + 3) / 6) * y, ["lookup"]),
    "hardswish_clamp": (lambda m, y: y * (y + 3).clamp(0, 6) * (1 / 6), ["lookup"]),
    "hardsigmoid_spelled_out": (lambda m, y: functional.relu6(3 + y) * (1 / 6), None),
    "gate_of_another_map": (lambda m, y: torch.tanh(y) * torch.sigmoid(y), None),
    "sigmoid_read_twice": (lambda m, y: y * (s := torch.sigmoid(y)) + s, None),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name: str) -> None:
    function, expected = FUNCTIONS[name]
    operators = checked(behind_stem(function))
    assert operators[0] == "conv2d"
    if expected is not None:
        assert operators[1:] == expected


class SqueezeExcite(nn.Module):
    """mean -> reduce -> activation -> expand -> gate, times the map; its parts as libraries write them."""

    def __init__(self, *, linear: bool, gate: Callable[[Any], Any], pool: str = "mean") -> None:
        super().__init__()
        make = nn.Linear if linear else (lambda a, b: nn.Conv2d(a, b, 1))
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.reduce, self.expand = make(8, 4), make(4, 8)
        self.linear, self.gate, self.pool = linear, gate, pool
        self.head = nn.Conv2d(8, 5, 1)

    def forward(self, x: Any) -> Any:
        x = functional.relu(self.stem(x))
        if self.linear:
            pooled = x.mean((2, 3))
        elif self.pool == "mean":
            pooled = x.mean((2, 3), keepdim=True)
        else:
            pooled = functional.adaptive_avg_pool2d(x, 1)
        excitation = self.gate(self.expand(functional.relu(self.reduce(pooled))))
        if self.linear:
            excitation = excitation.view(1, -1, 1, 1)
        return self.head(x * excitation)


GATES: dict[str, Callable[[Any], Any]] = {
    "sigmoid": torch.sigmoid,
    "hardsigmoid": functional.hardsigmoid,
    "relu6": lambda y: functional.relu6(y + 3.0) / 6.0,
    "relu6_scaled": lambda y: functional.relu6(y + 3.0) * 0.16667,
    "one_minus": lambda y: 1.0 - torch.sigmoid(y),
}


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("form", ["conv_mean", "conv_pool", "linear"])
def test_squeeze_and_excite(form: str, gate: str) -> None:
    pool = "adaptive" if form == "conv_pool" else "mean"
    module = SqueezeExcite(linear=form == "linear", gate=GATES[gate], pool=pool)
    operators = checked(module, (3, 8, 9))
    clamped = gate.startswith("relu6")  # the layer in front adds 3 and clamps; the scale stays
    assert operators.count("mul") == (2 if clamped else 1)
    assert operators.count("lookup") == (0 if clamped else 1)


REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "power_of_maps": (lambda m, y: y ** torch.relu(y), "pow '.*': only powers of a map"),
    "rounding_mode": (lambda m, y: torch.div(y, 2.0, rounding_mode="floor"), "leave it out"),
    "divide_by_zero": (lambda m, y: y / torch.zeros(()), "the divisor holds a zero"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    function, message = REFUSED[name]
    with pytest.raises(UnsupportedError, match=message):
        import_torch_module(behind_stem(function), (torch_models.noise(1, *MAP),))
