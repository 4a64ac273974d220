# SPDX-License-Identifier: Apache-2.0
"""Bounds and other numbers of PyTorch operators that are not finite, or far outside int8."""

from __future__ import annotations

from typing import Any

import pytest

import edgekit
from edgekit.errors import EdgekitError

torch: Any = pytest.importorskip("torch", reason="install edgekit[torch]")


class Clamp(torch.nn.Module):  # type: ignore[misc]
    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.bounds = (low, high)

    def forward(self, x: Any) -> Any:
        return torch.clamp(x, *self.bounds)


def convert(low: float, high: float) -> edgekit.Artifact:
    x = torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    return edgekit.convert(Clamp(low, high), x, calibration=[x], target="cortex-m4")


@pytest.mark.parametrize(
    ("low", "high"),
    [(0.0, float("inf")), (float("-inf"), 0.5), (0.0, 1e300), (-1e300, 0.5), (0.0, 1e-300)],
)
def test_far_bounds_clamp_nothing(low: float, high: float) -> None:
    convert(low, high).validate(samples=4).assert_ok()


@pytest.mark.parametrize(("low", "high"), [(float("nan"), 1.0), (0.0, float("nan"))])
def test_bounds_that_are_no_numbers_are_refused(low: float, high: float) -> None:
    with pytest.raises(EdgekitError) as caught:
        convert(low, high)
    assert len(caught.value.lines) == 1
