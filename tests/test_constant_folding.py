# SPDX-License-Identifier: Apache-2.0
"""Whatever is computed from constants alone is computed at import: its result is a plain weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")

from support.torch_models import noise  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.nn.utils import parametrizations, parametrize  # noqa: E402

from edgekit.converters.from_torch import import_torch_module  # noqa: E402
from edgekit.converters.legalize import legalize  # noqa: E402
from edgekit.errors import UnsupportedError  # noqa: E402
from edgekit.interpret import interpret_float  # noqa: E402
from edgekit.ir import Graph  # noqa: E402

# PyTorch and numpy add float32 products in another order.
TOLERANCE = 2e-5
INPUTS, OUTPUTS = 4, 6


class Generated(nn.Module):
    """A convolution whose weight is computed from parameters in every call."""

    def __init__(self, make: Callable[..., torch.Tensor], **shapes: tuple[int, ...]) -> None:
        super().__init__()
        self.make = make
        for number, (name, shape) in enumerate(sorted(shapes.items())):
            self.register_parameter(name, nn.Parameter(noise(*shape, seed=number)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(x, self.make(self))


def standardized(m: Any) -> torch.Tensor:
    """Qiao et al., "Micro-Batch Training with ... Weight Standardization", 2019."""
    weight = m.weight - m.weight.mean(dim=(1, 2, 3), keepdim=True)
    deviation = weight.view(OUTPUTS, -1).std(dim=1).view(-1, 1, 1, 1) + 1e-5
    return weight / deviation


def standardized_by_batch_norm(m: Any) -> torch.Tensor:
    """As in timm and BiT: a batch norm in training mode over the weight."""
    flat = m.weight.reshape(1, OUTPUTS, -1)
    normal = functional.batch_norm(flat, None, None, m.gain, training=True, momentum=0.0, eps=1e-6)
    return normal.reshape_as(m.weight)


def scaled_standardized(m: Any) -> torch.Tensor:
    """Brock et al., "High-Performance ... Without Normalization", 2021."""
    variance, mean = torch.var_mean(m.weight, dim=(1, 2, 3), keepdim=True, unbiased=False)
    scale = torch.rsqrt(torch.maximum(variance * 36, torch.tensor(1e-4)))
    return (m.weight - mean) * scale * m.gain.reshape(-1, 1, 1, 1)


def of_mlp(m: Any) -> torch.Tensor:
    hidden = functional.gelu(functional.linear(m.codes, m.first))
    hidden = functional.silu(functional.layer_norm(hidden, (5,)))
    return torch.tanh(hidden @ m.second).reshape(OUTPUTS, INPUTS, 3, 3)


def of_coordinates(m: Any) -> torch.Tensor:
    """A kernel as a function of its taps' coordinates."""
    line = torch.linspace(-1, 1, 3)
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    places = torch.stack([rows, columns, rows * columns]).reshape(3, 9)
    waves = torch.sin(m.first @ places) * torch.exp(-places.pow(2).sum(0))
    return waves.reshape(OUTPUTS, INPUTS, 3, 3)


def gathered(m: Any) -> torch.Tensor:
    """Weight sharing through a codebook, and a mask."""
    index = torch.arange(OUTPUTS * INPUTS) % 7
    weight = torch.index_select(m.codes, 0, index).reshape(OUTPUTS, INPUTS, 3, 3)
    return torch.where(weight.abs() > 0.3, weight, torch.zeros_like(weight))


def symmetric(m: Any) -> torch.Tensor:
    return (m.weight + m.weight.flip(3) + torch.rot90(m.weight, 2, (2, 3))) / 3


def factored(m: Any) -> torch.Tensor:
    return torch.einsum("or,ri,rk->oik", m.first, m.second, m.third).reshape(OUTPUTS, INPUTS, 3, 3)


def joined(m: Any) -> torch.Tensor:
    whole = torch.cat([m.weight[:4], m.weight[4:] * 2, m.weight[:1].tril()], dim=0)
    first, second = torch.chunk(whole[:OUTPUTS], 2, dim=1)
    return torch.stack([second, first], dim=1).flatten(1, 2)


SHAPE = (OUTPUTS, INPUTS, 3, 3)
GENERATED: dict[str, Callable[[], nn.Module]] = {
    "weight_standardization": lambda: Generated(standardized, weight=SHAPE),
    "standardized_by_batch_norm": lambda: Generated(
        standardized_by_batch_norm, weight=SHAPE, gain=(OUTPUTS,)
    ),
    "scaled_standardization": lambda: Generated(scaled_standardized, weight=SHAPE, gain=(OUTPUTS,)),
    "bilinear_interpolation": lambda: Generated(
        lambda m: functional.interpolate(m.weight, size=(5, 5), mode="bilinear"), weight=SHAPE
    ),
    "bicubic_interpolation": lambda: Generated(
        lambda m: functional.interpolate(m.weight, (2, 2), mode="bicubic", align_corners=True),
        weight=SHAPE,
    ),
    "nearest_interpolation": lambda: Generated(
        lambda m: functional.interpolate(m.weight, scale_factor=2), weight=SHAPE
    ),
    "kronecker": lambda: Generated(
        lambda m: torch.kron(m.first, m.second), first=(3, 2, 1, 3), second=(2, 2, 3, 1)
    ),
    "mlp": lambda: Generated(of_mlp, codes=(OUTPUTS, 7), first=(5, 7), second=(5, INPUTS * 9)),
    "coordinates": lambda: Generated(of_coordinates, first=(OUTPUTS * INPUTS, 3)),
    "codebook": lambda: Generated(gathered, codes=(7, 9)),
    "symmetric": lambda: Generated(symmetric, weight=SHAPE),
    "low_rank": lambda: Generated(factored, first=(OUTPUTS, 2), second=(2, INPUTS), third=(2, 9)),
    "concatenated": lambda: Generated(joined, weight=SHAPE),
    "softmax_of_kernels": lambda: Generated(
        lambda m: (torch.softmax(m.mix, 0).view(-1, 1, 1, 1, 1) * m.kernels).sum(0),
        kernels=(3, *SHAPE),
        mix=(3,),
    ),
    "norm_of_rows": lambda: Generated(
        lambda m: m.weight / torch.linalg.vector_norm(m.weight, dim=(1, 2, 3), keepdim=True),
        weight=SHAPE,
    ),
    "normalize": lambda: Generated(lambda m: functional.normalize(m.weight, dim=1), weight=SHAPE),
    "quantized_by_hand": lambda: Generated(
        lambda m: torch.clamp(torch.round(m.weight * 7), -7, 7) / 7 * m.weight.abs().max(),
        weight=SHAPE,
    ),
    "ternary": lambda: Generated(
        lambda m: torch.sign(m.weight) * (m.weight.abs() > 0.5).float(), weight=SHAPE
    ),
    "frequency": lambda: Generated(
        lambda m: torch.matmul(torch.cos(m.basis), m.weight.reshape(OUTPUTS * INPUTS, 9, 1))
        .reshape(SHAPE),
        basis=(9, 9),
        weight=SHAPE,
    ),
    "convolved_kernels": lambda: Generated(
        lambda m: functional.conv2d(m.weight, m.inner.transpose(0, 1), padding=1),
        inner=(INPUTS, INPUTS, 2, 2),
        weight=SHAPE,
    ),
}  # fmt: skip


class Symmetric(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return (weight + weight.transpose(2, 3)) / 2


def parametrized(kind: str) -> nn.Module:
    conv = nn.Conv2d(INPUTS, OUTPUTS, 3)
    with torch.no_grad():
        conv.weight.copy_(noise(*SHAPE))
    if kind == "weight_norm":
        return parametrizations.weight_norm(conv)
    if kind == "old_weight_norm":
        return torch.nn.utils.weight_norm(conv)
    if kind == "spectral_norm":
        return parametrizations.spectral_norm(conv)
    if kind == "orthogonal":
        return parametrizations.orthogonal(conv)
    parametrize.register_parametrization(conv, "weight", Symmetric())
    return conv


def assert_plain_convolution(module: nn.Module) -> Graph:
    """One conv2d is left, and it computes what PyTorch does."""
    module = module.eval()
    x = noise(1, INPUTS, 9, 8)
    legal = legalize(import_torch_module(module, (x,)))
    assert [node.op for node in legal.nodes] == ["conv2d"]
    with torch.no_grad():
        expected = module(x).numpy().transpose(0, 2, 3, 1)
    result = interpret_float(legal, [x.numpy().transpose(0, 2, 3, 1)])[legal.outputs[0].tensor]
    np.testing.assert_allclose(result, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())
    return legal


@pytest.mark.parametrize("name", GENERATED)
def test_generated_weights_become_plain_ones(name: str) -> None:
    assert_plain_convolution(GENERATED[name]())


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "kind", ["weight_norm", "old_weight_norm", "spectral_norm", "orthogonal", "symmetric"]
)
def test_parametrized_weights_become_plain_ones(kind: str) -> None:
    assert_plain_convolution(parametrized(kind))


def test_random_weights_are_refused() -> None:
    module = Generated(lambda m: m.weight + torch.rand_like(m.weight), weight=SHAPE)
    with pytest.raises(UnsupportedError, match=r"rand_like.*computed from constants"):
        import_torch_module(module, (noise(1, INPUTS, 9, 8),))
