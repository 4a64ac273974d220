# SPDX-License-Identifier: Apache-2.0
"""Sliding-window helpers of the numpy references: padded maps and their taps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgekit.ir import Array, Call
from edgekit.window import Window


def verify_window(call: Call, window: Window) -> None:
    """Raise BadInputError where the input is not a 4-D map or the window does not fit it."""
    shape = call.inputs[0].shape
    if len(shape) != 4:
        raise call.fail(f"the input has shape {shape}; it must be (1, height, width, channels)")
    for label, axis, size in (
        ("height", window.height, shape[1]),
        ("width", window.width, shape[2]),
    ):
        if (problem := axis.problem(size)) is not None:
            raise call.fail(f"{label}: {problem}")


def pad_map(x: Array, window: Window, value: float) -> Array:
    """x (1, H, W, C) with the padding of ``window`` around it."""
    height, width = window.height, window.width
    pads = ((height.pad_before, height.pad_after), (width.pad_before, width.pad_after))
    if not any(sum(pad) for pad in pads):
        return x
    return np.pad(x, ((0, 0), *pads, (0, 0)), constant_values=value)


def taps(
    padded: Array, window: Window, output_height: int, output_width: int
) -> Iterator[tuple[int, int, Array]]:
    """(kernel row, kernel column, view (1, OH, OW, C)) for every tap over a padded map."""
    height, width = window.height, window.width
    for row in range(height.kernel):
        top = row * height.dilation
        for column in range(width.kernel):
            left = column * width.dilation
            view = padded[
                :,
                top : top + (output_height - 1) * height.stride + 1 : height.stride,
                left : left + (output_width - 1) * width.stride + 1 : width.stride,
            ]
            yield row, column, view
