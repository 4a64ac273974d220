# SPDX-License-Identifier: Apache-2.0
"""ATen's numbers that stand for one axis or for two."""

from __future__ import annotations

from typing import Any


def height_and_width(value: Any, *, rank: int, neutral: int) -> tuple[int, int]:
    """ATen's int[1] or int[2] of a call on rank 3 or 4, where one number stands for all axes."""
    values = [value] if isinstance(value, int | float) else list(value)
    if rank == 3:
        return neutral, int(values[0])
    return int(values[0]), int(values[-1])
