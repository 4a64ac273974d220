# SPDX-License-Identifier: Apache-2.0
"""Constant indices as runs of equal steps, each of which is a slice."""

from __future__ import annotations

from collections.abc import Sequence


def equal_steps(indices: Sequence[int]) -> list[tuple[int, int, int]]:
    """Indices as runs (begin, size, step), the step not 0; each run as long as possible."""
    runs: list[tuple[int, int, int]] = []
    for index in indices:
        if runs:
            begin, size, step = runs[-1]
            if size == 1 and index != begin:
                runs[-1] = (begin, 2, index - begin)
                continue
            if size > 1 and index == begin + size * step:
                runs[-1] = (begin, size + 1, step)
                continue
        runs.append((index, 1, 1))
    return runs
