# SPDX-License-Identifier: Apache-2.0
"""PyTorch models that cannot be imported: all of it listed, with the remedy, one line each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")

from support import torch_models  # noqa: E402
from support.torch_checks import Function  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from edgekit.converters.from_torch import import_torch_module  # noqa: E402
from edgekit.errors import BadInputError, UnsupportedError  # noqa: E402


def test_all_unsupported_operators_are_listed_at_once() -> None:
    class Unsupported(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Threshold(0.1, 0.0))
            self.tail = nn.Sequential(nn.ConvTranspose2d(4, 4, 2), nn.Threshold(0.2, 0.0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cumsum(self.tail(self.head(x)), 1) + functional.avg_pool2d(
                self.head(x), 3, 2, padding=1, ceil_mode=True
            ).var((2, 3), keepdim=True).mean((1, 2, 3), keepdim=True)

    with pytest.raises(UnsupportedError) as caught:
        import_torch_module(Unsupported(), torch_models.noise(1, 3, 8, 8))
    lines = caught.value.lines
    assert any(line == "threshold 'head/1': not supported; use relu" for line in lines)
    assert any(line == "threshold 'tail/1': not supported; use relu" for line in lines)
    assert any(line.startswith("cumsum '") for line in lines)
    assert any(line.startswith("var '") and "nn.LayerNorm" in line for line in lines)
    assert all("\n" not in line for line in lines)


REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "variance": (lambda m, y: y.var((2, 3)), "use nn.LayerNorm, nn.GroupNorm"),
    "heads_first": (lambda m, y: y.reshape(8, 1, 6, 7).relu(), "scaled_dot_product_attention"),
    "cropping_pad": (lambda m, y: functional.pad(y, (-1, 0)), "pad H, W or C"),
    "divide_rounding": (lambda m, y: torch.div(y, 2.0, rounding_mode="floor"), "rounding_mode"),
    "uneven_tiles": (lambda m, y: functional.adaptive_avg_pool2d(y, 4), "use output_size=1"),
    "rank_5": (lambda m, y: y.view(1, 2, 4, 6, 7).permute(0, 2, 1, 3, 4), "up to 4"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_remedy(name: str) -> None:
    function, remedy = REFUSED[name]
    with pytest.raises(UnsupportedError, match=remedy):
        import_torch_module(Function(function, channels=(3, 8)), torch_models.noise(1, 3, 6, 7))


def test_weights_that_are_not_finite_are_bad_input() -> None:
    module, inputs = torch_models.ds_cnn()
    with torch.no_grad():
        module.classifier.weight[0, 0] = float("nan")
    with pytest.raises(BadInputError, match=r"classifier\.weight.*NaN"):
        import_torch_module(module, inputs)


def test_inputs_must_be_float32() -> None:
    with pytest.raises(BadInputError, match="float64"):
        import_torch_module(nn.ReLU(), torch_models.noise(1, 4).double())


def test_untraceable_modules_are_one_line() -> None:
    class Branch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum().item() > 0 else -x

    with pytest.raises(BadInputError) as caught:
        import_torch_module(Branch(), torch_models.noise(1, 4))
    assert len(caught.value.lines) == 1 and "\n" not in str(caught.value)
