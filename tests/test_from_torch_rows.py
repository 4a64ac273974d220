# SPDX-License-Identifier: Apache-2.0
"""PyTorch's log_softmax and amin: as PyTorch computes, and in C."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")

from support.torch_checks import Function, assert_same_function  # noqa: E402
from support.torch_models import randomize  # noqa: E402
from torch import nn  # noqa: E402

import edgekit  # noqa: E402

OPERATORS: dict[str, Callable[..., Any]] = {
    "log_softmax_classes": lambda m, y: y.mean((2, 3)).log_softmax(-1),
    "log_softmax_channels": lambda m, y: nn.functional.log_softmax(y, dim=1),
    "log_softmax_rows": lambda m, y: y.log_softmax(2),
    "log_softmax_rank_3": lambda m, y: y.flatten(2).log_softmax(1),
    "amin_map": lambda m, y: y.amin((2, 3)),
    "amin_channels": lambda m, y: y.amin(1, keepdim=True),
    "amin_columns": lambda m, y: y.amin(3),
}


def prepared(name: str) -> tuple[nn.Module, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    module = randomize(Function(OPERATORS[name], channels=(3, 12)))
    return module, torch.randn(1, 3, 5, 6, generator=generator)


@pytest.mark.parametrize("name", OPERATORS)
def test_operator_is_what_pytorch_computes(name: str) -> None:
    module, x = prepared(name)
    assert_same_function(module, (x,))


@pytest.mark.parametrize("name", OPERATORS)
def test_quantized_operator_is_equal_in_c(name: str) -> None:
    module, x = prepared(name)
    artifact = edgekit.convert(
        module, x, calibration=[x, -x, x.flip(2)], target="host", kernels="reference"
    )
    report = artifact.validate(samples=3).assert_ok()
    assert report.float is not None
    assert report.float.sqnr_db is not None
    assert report.float.sqnr_db > 20.0
