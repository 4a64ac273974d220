# SPDX-License-Identifier: Apache-2.0
"""What depth_to_space and space_to_depth share: square blocks of pixels, and two orders of channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgekit.ir import Array
from edgekit.kernel import CValue

BlockOrder = Literal["block_major", "channel_major"]
"""How the channels of a deep pixel count: place in the block first (TensorFlow), or channel first
(PyTorch's pixel_shuffle)."""


@dataclass(frozen=True)
class Blocks:
    """Blocks of block x block pixels."""

    block: int
    order: BlockOrder


def block_members(blocks: Blocks, channels: int) -> dict[str, CValue]:
    """Struct members: elements of a deep pixel from one place, or one channel, to the next."""
    block_major = blocks.order == "block_major"
    return {
        "block": blocks.block,
        "channels": channels,
        "place_stride": channels if block_major else 1,
        "channel_stride": 1 if block_major else blocks.block * blocks.block,
    }


def to_space(x: Array, blocks: Blocks) -> Array:
    """(1, H, W, b * b * C) to (1, H * b, W * b, C)."""
    _, height, width, deep = x.shape
    b = blocks.block
    channels = deep // (b * b)
    if blocks.order == "block_major":
        places = x.reshape(height, width, b, b, channels).transpose(0, 2, 1, 3, 4)
    else:
        places = x.reshape(height, width, channels, b, b).transpose(0, 3, 1, 4, 2)
    return np.ascontiguousarray(places).reshape(1, height * b, width * b, channels)


def to_depth(x: Array, blocks: Blocks) -> Array:
    """(1, H * b, W * b, C) to (1, H, W, b * b * C)."""
    _, tall, wide, channels = x.shape
    b = blocks.block
    places = x.reshape(tall // b, b, wide // b, b, channels)
    order = (0, 2, 1, 3, 4) if blocks.order == "block_major" else (0, 2, 4, 1, 3)
    deep = np.ascontiguousarray(places.transpose(order))
    return deep.reshape(1, tall // b, wide // b, b * b * channels)
