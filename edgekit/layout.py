# SPDX-License-Identifier: Apache-2.0
"""How a feature map lies in memory: NHWC rows, or the row-planar form of the depthwise kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgekit.ir import Array, Shape

WORD_ORDER = (0, 2, 1, 3)
"""Column stored in each byte of a word of a row-planar row.

SXTB16 of such a word gives columns (0, 1), and of the word rotated by 8 columns (2, 3): adjacent
pairs, as SMLAD needs them.
"""


@dataclass(frozen=True)
class Layout:
    """NHWC, or row-planar: [row][channel][channel_stride bytes].

    A row-planar channel holds ``pad_left`` columns of zero point, the map's columns, then zero
    point up to ``channel_stride``, a multiple of 4; the bytes of each word are in WORD_ORDER.
    """

    kind: Literal["nhwc", "row_planar"] = "nhwc"
    pad_left: int = 0
    channel_stride: int = 0

    def row_bytes(self, width: int, channels: int, *, element_bytes: int = 1) -> int:
        """Bytes from one row of the map to the next."""
        if self.kind == "nhwc":
            return width * channels * element_bytes
        return self.channel_stride * channels

    def to_memory(self, array: Array, *, zero_point: int) -> Array:
        """The int8 bytes, as (H, row_bytes), of an int8 array (H, W, C)."""
        height, width, channels = array.shape
        if self.kind == "nhwc":
            return np.ascontiguousarray(array).reshape(height, width * channels)
        planar = np.full((height, channels, self.channel_stride), zero_point, np.int8)
        planar[:, :, self.pad_left : self.pad_left + width] = array.transpose(0, 2, 1)
        words = planar.reshape(height, channels, -1, 4)[..., list(WORD_ORDER)]
        return np.ascontiguousarray(words).reshape(height, channels * self.channel_stride)

    def from_memory(self, rows: Array, *, width: int, channels: int) -> Array:
        """The array (H, W, C) behind the bytes of ``to_memory``."""
        height = rows.shape[0]
        if self.kind == "nhwc":
            return rows.reshape(height, width, channels)
        words = rows.reshape(height, channels, -1, 4)[..., list(WORD_ORDER)]
        planar = words.reshape(height, channels, self.channel_stride)
        columns = planar[:, :, self.pad_left : self.pad_left + width]
        return np.ascontiguousarray(columns.transpose(0, 2, 1))


NHWC = Layout()


def map_size(shape: Shape) -> tuple[int, int, int]:
    """(height, width, channels) of a shape of up to 4 dimensions, aligned at its end as numpy does."""
    _, height, width, channels = (1,) * (4 - len(shape)) + shape
    return height, width, channels


def row_planar(*, width: int, kernel: int, pad_left: int) -> Layout:
    """The row-planar layout that a depthwise kernel of ``kernel`` columns reads."""
    return Layout("row_planar", pad_left, (width + kernel - 1 + 3) // 4 * 4)
